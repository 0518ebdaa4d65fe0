//! Child processes: pinned, measured by the kernel's account, and ended with their owner.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// Where a process runs.
#[derive(Clone, Copy)]
pub(crate) enum Cpu {
    Any,
    Gateway,
    Load,
}

pub(crate) struct Process {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Process {
    pub(crate) fn start(cpu: Cpu, program: &OsStr, arguments: &[String]) -> Self {
        let mut command = command(cpu, program);
        command.args(arguments).env("RUST_LOG", "warn");
        command.stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// Starts this program in another role.
    pub(crate) fn role(arguments: &[String]) -> Self {
        let program = std::env::current_exe().unwrap();
        Self::start(Cpu::Load, program.as_os_str(), arguments)
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Returns the CPU time of all threads so far, in microseconds.
    pub(crate) fn cpu(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanos = tasks.filter_map(|task| {
            let said = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            said.split(' ').next()?.parse::<f64>().ok()
        });
        nanos.sum::<f64>() / 1e3
    }

    /// Returns the resident set in KiB.
    pub(crate) fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        number.and_then(|number| number.parse().ok()).unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(cpu: Cpu, program: &OsStr) -> Command {
    let two = std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1);
    let list = match cpu {
        Cpu::Gateway if two => "0",
        Cpu::Load if two => "1",
        _ => return Command::new(program),
    };
    let mut command = Command::new("taskset");
    command.args(["-c", list]).arg(program);
    command
}
