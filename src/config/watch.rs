//! Tells whether the files of a configuration have changed.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// How files looked at one time: enough to see a write, a rename and the swap of a link above them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FilesSeen(Vec<(PathBuf, Option<Look>)>);

/// Device, number, length and time of change.
type Look = (u64, u64, u64, i64, i64);

impl FilesSeen {
    /// Looks at files now.
    pub(crate) fn now(files: &[PathBuf]) -> Self {
        let look = |file: &PathBuf| (file.clone(), look(file));
        Self(files.iter().map(look).collect())
    }

    /// Looks at the same files now.
    pub(crate) fn again(&self) -> Self {
        let look = |(file, _): &(PathBuf, Option<Look>)| (file.clone(), look(file));
        Self(self.0.iter().map(look).collect())
    }

    /// Tells whether any looks otherwise now.
    pub(crate) fn have_changed(&self) -> bool {
        self.0.iter().any(|(file, seen)| look(file) != *seen)
    }
}

fn look(file: &Path) -> Option<Look> {
    let found = fs::metadata(file).ok()?;
    let (secs, nanos) = (found.mtime(), found.mtime_nsec());
    Some((found.dev(), found.ino(), found.len(), secs, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_a_rename_and_a_swapped_link_are_seen() {
        let folder =
            std::env::temp_dir().join(format!("clerk-gateway-watch-{}", std::process::id()));
        let (old, new) = (folder.join("old"), folder.join("new"));
        for version in [&old, &new] {
            fs::create_dir_all(version).unwrap();
            fs::write(version.join("file"), "1").unwrap();
        }
        let link = folder.join("current");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&old, &link).unwrap();
        let files = [link.join("file"), folder.join("absent")];
        let seen = FilesSeen::now(&files);
        assert!(!seen.have_changed());
        fs::write(old.join("file"), "12").unwrap();
        assert!(seen.have_changed());
        let seen = FilesSeen::now(&files);
        fs::write(folder.join("absent"), "").unwrap();
        assert!(seen.have_changed());
        let seen = FilesSeen::now(&files);
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&new, &link).unwrap();
        assert!(seen.have_changed());
        fs::remove_dir_all(folder).unwrap();
    }
}
