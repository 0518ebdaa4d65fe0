//! The HTTP interface: Clerk's Backend API below `/v1`, and of its Frontend API what others need.

mod body;
mod error;
mod frontend;
mod gate;
mod jwt_templates;
mod openapi;
mod organizations;
mod query;
mod refresh;
mod sessions;
mod users;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    middleware::from_fn_with_state,
    routing::{MethodRouter, delete, get, patch, post},
};
use http::StatusCode;
use serde_json::{Value, json};

use super::backend::Backend;
use error::ApiError;
use gate::{Api, Gate};

/// What an operation answers.
type Answer = Result<Json<Value>, ApiError>;

type Methods = MethodRouter<Arc<Backend>>;
type Routes = Router<Arc<Backend>>;

/// Returns the whole interface.
pub(crate) fn router(backend: Arc<Backend>) -> Router {
    let gates = Gates(Arc::clone(&backend));
    sessions_routes(&gates)
        .merge(users_routes(&gates))
        .merge(organizations_routes(&gates))
        .merge(jwt_templates_routes(&gates))
        .merge(frontend_routes(&gates))
        .route("/v1/jwks", gates.backend("GetJWKS", get(jwks)))
        .route("/openapi.json", get(openapi::document))
        .fallback(async || ApiError::not_found("Resource"))
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This path does not take this method",
            )
        })
        .layer(DefaultBodyLimit::max(body::LIMIT))
        .with_state(backend)
}

fn sessions_routes(gates: &Gates) -> Routes {
    let collection = gates
        .backend("GetSessionList", get(sessions::list))
        .merge(gates.backend("createSession", post(sessions::create)));
    let token_from_template = post(sessions::create_token_from_template);
    Router::new()
        .route("/v1/sessions", collection)
        .route(
            "/v1/sessions/{id}",
            gates.backend("GetSession", get(sessions::get)),
        )
        .route(
            "/v1/sessions/{id}/refresh",
            gates.backend("RefreshSession", post(refresh::refresh)),
        )
        .route(
            "/v1/sessions/{id}/revoke",
            gates.backend("RevokeSession", post(sessions::revoke)),
        )
        .route(
            "/v1/sessions/{id}/verify",
            gates.backend("VerifySession", post(refresh::verify)),
        )
        .route(
            "/v1/sessions/{id}/tokens",
            gates.backend("CreateSessionToken", post(sessions::create_token)),
        )
        .route(
            "/v1/sessions/{id}/tokens/{template_name}",
            gates.backend("CreateSessionTokenFromTemplate", token_from_template),
        )
}

fn users_routes(gates: &Gates) -> Routes {
    let collection = gates
        .backend("GetUserList", get(users::list))
        .merge(gates.backend("CreateUser", post(users::create)));
    let one = gates
        .backend("GetUser", get(users::get))
        .merge(gates.backend("DeleteUser", delete(users::delete)));
    Router::new()
        .route("/v1/users", collection)
        .route(
            "/v1/users/count",
            gates.backend("GetUsersCount", get(users::count)),
        )
        .route("/v1/users/{id}", one)
        .route(
            "/v1/users/{id}/metadata",
            gates.backend("UpdateUserMetadata", patch(users::update_metadata)),
        )
        .route(
            "/v1/users/{id}/ban",
            gates.backend("BanUser", post(users::ban)),
        )
        .route(
            "/v1/users/{id}/unban",
            gates.backend("UnbanUser", post(users::unban)),
        )
        .route(
            "/v1/users/{id}/lock",
            gates.backend("LockUser", post(users::lock)),
        )
        .route(
            "/v1/users/{id}/unlock",
            gates.backend("UnlockUser", post(users::unlock)),
        )
        .route(
            "/v1/users/{id}/organization_memberships",
            gates.backend("UsersGetOrganizationMemberships", get(users::memberships)),
        )
}

fn organizations_routes(gates: &Gates) -> Routes {
    let collection = gates
        .backend("ListOrganizations", get(organizations::list))
        .merge(gates.backend("CreateOrganization", post(organizations::create)));
    let create_membership = post(organizations::create_membership);
    let memberships = gates
        .backend(
            "ListOrganizationMemberships",
            get(organizations::list_memberships),
        )
        .merge(gates.backend("CreateOrganizationMembership", create_membership));
    let one = gates
        .backend("GetOrganization", get(organizations::get))
        .merge(gates.backend("DeleteOrganization", delete(organizations::delete)));
    let membership = gates
        .backend(
            "UpdateOrganizationMembership",
            patch(organizations::update_membership),
        )
        .merge(gates.backend(
            "DeleteOrganizationMembership",
            delete(organizations::delete_membership),
        ));
    Router::new()
        .route("/v1/organizations", collection)
        .route("/v1/organizations/{id}", one)
        .route("/v1/organizations/{id}/memberships", memberships)
        .route("/v1/organizations/{id}/memberships/{user_id}", membership)
}

fn jwt_templates_routes(gates: &Gates) -> Routes {
    let collection = gates
        .backend("ListJWTTemplates", get(jwt_templates::list))
        .merge(gates.backend("CreateJWTTemplate", post(jwt_templates::create)));
    let one = gates
        .backend("GetJWTTemplate", get(jwt_templates::get))
        .merge(gates.backend("UpdateJWTTemplate", patch(jwt_templates::update)))
        .merge(gates.backend("DeleteJWTTemplate", delete(jwt_templates::delete)));
    Router::new()
        .route("/v1/jwt_templates", collection)
        .route("/v1/jwt_templates/{id}", one)
}

// Clerk's names for these operations are its Frontend API's own.
fn frontend_routes(gates: &Gates) -> Routes {
    let token_from_template = post(frontend::create_token_from_template);
    Router::new()
        .route(
            "/.well-known/jwks.json",
            gates.frontend("GetJWKS", get(jwks)),
        )
        .route(
            "/v1/client/sessions/{id}/end",
            gates.frontend("endSession", post(frontend::end)),
        )
        .route(
            "/v1/client/sessions/{id}/remove",
            gates.frontend("removeSession", post(frontend::remove)),
        )
        .route(
            "/v1/client/sessions/{id}/touch",
            gates.frontend("touchSession", post(frontend::touch)),
        )
        .route(
            "/v1/client/sessions/{id}/tokens",
            gates.frontend("createSessionToken", post(frontend::create_token)),
        )
        .route(
            "/v1/client/sessions/{id}/tokens/{template_name}",
            gates.frontend("createSessionTokenWithTemplate", token_from_template),
        )
}

/// Puts operations behind their gates.
struct Gates(Arc<Backend>);

impl Gates {
    fn backend(&self, operation: &'static str, methods: Methods) -> Methods {
        self.gate(operation, Api::Backend, methods)
    }

    fn frontend(&self, operation: &'static str, methods: Methods) -> Methods {
        self.gate(operation, Api::Frontend, methods)
    }

    fn gate(&self, operation: &'static str, api: Api, methods: Methods) -> Methods {
        let gate = Gate {
            backend: Arc::clone(&self.0),
            operation,
            api,
        };
        methods.route_layer(from_fn_with_state(gate, gate::pass))
    }
}

async fn jwks(State(backend): State<Arc<Backend>>) -> Json<Value> {
    Json(json!({"keys": [backend.key().jwk()]}))
}
