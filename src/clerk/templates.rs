//! The instance's JWT templates, as far as set-up is checked.

use http::Method;
use serde::Deserialize;

use super::{Client, Error};

/// The most that Clerk lists at once.
const PAGE: &str = "500";

#[derive(Deserialize)]
struct Template {
    name: String,
}

impl Client {
    /// Lists the names of the instance's JWT templates, `GET /jwt_templates`: the first 500.
    ///
    /// # Errors
    ///
    /// As every operation: see [`Error`].
    ///
    /// <https://clerk.com/docs/reference/backend-api/tag/JWT-Templates>
    pub(crate) async fn template_names(&self) -> Result<Vec<String>, Error> {
        let mut call = self.call("ListJWTTemplates", Method::GET, "/jwt_templates");
        call.url.query_pairs_mut().append_pair("limit", PAGE);
        let body = self.send(call).await?;
        let templates: Vec<Template> =
            serde_json::from_slice(&body).map_err(|error| Error::not_understood(&error))?;
        Ok(templates
            .into_iter()
            .map(|template| template.name)
            .collect())
    }
}
