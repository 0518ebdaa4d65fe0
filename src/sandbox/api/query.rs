//! Query parameters, checked as Clerk checks them.

use http::Uri;

use super::error::ApiError;

/// A query string's parameters, in order.
pub(crate) struct Query(Vec<(String, String)>);

/// A page of a list.
pub(crate) struct Page {
    pub(crate) limit: usize,
    pub(crate) offset: usize,
}

impl Query {
    pub(crate) fn of(uri: &Uri) -> Self {
        let pairs = axum::extract::Query::try_from_uri(uri);
        Self(pairs.map(|query| query.0).unwrap_or_default())
    }

    /// Returns a parameter's first value; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    /// Returns all values of a parameter that may be repeated, `name[]` included.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let named = self.0.iter().filter(|(key, value)| {
            key.strip_suffix("[]").unwrap_or(key) == name && !value.is_empty()
        });
        named.map(|(_, value)| value.clone()).collect()
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.raw(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ApiError::parameter(
                "form_param_format_invalid",
                name,
                "must be true or false",
            )),
        }
    }

    /// Returns `limit` (1…500, default 10) and `offset` (from 0).
    pub(crate) fn page(&self) -> Result<Page, ApiError> {
        Ok(Page {
            limit: self.number("limit", 1, 500)?.unwrap_or(10),
            offset: self.number("offset", 0, usize::MAX)?.unwrap_or(0),
        })
    }

    fn number(&self, name: &str, least: usize, most: usize) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.raw(name) else {
            return Ok(None);
        };
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let message = "must be a whole number";
            return Err(ApiError::parameter(
                "form_param_format_invalid",
                name,
                message,
            ));
        }
        // Digits alone fail only by being too many.
        let number: usize = digits.parse().unwrap_or(usize::MAX);
        if (negative && number > 0) || number < least || number > most {
            let message = "is out of range";
            return Err(ApiError::parameter(
                "form_param_value_invalid",
                name,
                message,
            ));
        }
        Ok(Some(number))
    }

    /// Returns a parameter's first value as it came.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        let mut named = self.0.iter().filter(|(key, _)| key == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

impl Page {
    /// Returns this page of `rows`.
    pub(crate) fn of<T>(&self, rows: impl IntoIterator<Item = T>) -> Vec<T> {
        rows.into_iter()
            .skip(self.offset)
            .take(self.limit)
            .collect()
    }
}
