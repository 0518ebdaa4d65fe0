//! JSON bodies, checked field by field as Clerk checks them.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::ApiError;

/// The most a request's body may hold, in bytes.
pub(crate) const LIMIT: usize = 1024 * 1024;

/// A request's body: a JSON object, or nothing, which is an object without fields.
pub(crate) struct Body(Map<String, Value>);

/// The variable segments of a request's path.
pub(crate) struct Segments<T>(pub(crate) T);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let is_json = is_json(request.headers());
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| unreadable(rejection.status()))?;
        if bytes.is_empty() {
            return Ok(Self(Map::new()));
        }
        if !is_json {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_content_type",
                "The content type must be application/json",
            ));
        }
        serde_json::from_slice(&bytes).map(Self).map_err(|_| {
            ApiError::bad_request("request_body_invalid", "The body is not a JSON object")
        })
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(segments)| Self(segments)).map_err(|_| {
            ApiError::bad_request(
                "malformed_request_parameters",
                "The path is not valid UTF-8",
            )
        })
    }
}

impl Body {
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format_invalid(name, "must be a string")),
        }
    }

    pub(crate) fn required_text(&self, name: &str) -> Result<String, ApiError> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| missing(name))
    }

    /// Returns a list of strings; null counts as empty.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let wrong = || format_invalid(name, "must be a list of strings");
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
                .collect(),
            Some(_) => Err(wrong()),
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(format_invalid(name, "must be true or false")),
        }
    }

    /// Returns a whole number in a range; as in JSON Schema, 60.0 is one.
    pub(crate) fn number(
        &self,
        name: &str,
        least: u32,
        most: u32,
    ) -> Result<Option<u64>, ApiError> {
        let number = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.as_f64(),
            Some(_) => None,
        };
        let number = number.filter(|number| number.fract() == 0.0);
        let number = number.ok_or_else(|| format_invalid(name, "must be a whole number"))?;
        if number < f64::from(least) || number > f64::from(most) {
            return Err(ApiError::parameter(
                "form_param_value_invalid",
                name,
                "is out of range",
            ));
        }
        Ok(Some(number as u64))
    }

    pub(crate) fn object(&self, name: &str) -> Result<Option<Map<String, Value>>, ApiError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object.clone())),
            Some(_) => Err(format_invalid(name, "must be an object")),
        }
    }

    /// Refuses fields outside `known`.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(ApiError::parameter(
                "form_param_unknown",
                name,
                "is not a valid parameter for this request",
            )),
        }
    }
}

pub(crate) fn missing(name: &str) -> ApiError {
    ApiError::parameter("form_param_missing", name, "must be included")
}

fn format_invalid(name: &str, message: &str) -> ApiError {
    ApiError::parameter("form_param_format_invalid", name, message)
}

fn unreadable(status: StatusCode) -> ApiError {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::new(status, "request_body_too_large", "The body is too large");
    }
    ApiError::bad_request("request_body_invalid", "The body could not be read")
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    content_type.is_some_and(|text| {
        let essence = text.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json")
    })
}
