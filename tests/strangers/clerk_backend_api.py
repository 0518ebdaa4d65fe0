"""Clerk's own Python SDK against a running sandbox, unchanged.

Reads CLERK_API_URL, CLERK_SECRET_KEY, CLERK_JWT_KEY, CLERK_USER_ID and CLERK_SESSION_ID; ends
non-zero at the first thing that is not as Clerk does it.
"""

import json
import os
import sys

# This file has the SDK's name, and must not be found in its place.
sys.path.pop(0)

import httpx
from clerk_backend_api import Clerk, models
from clerk_backend_api.security import authenticate_request, verify_token
from clerk_backend_api.security.types import AuthenticateRequestOptions, VerifyTokenOptions

API_URL = os.environ["CLERK_API_URL"]
SECRET_KEY = os.environ["CLERK_SECRET_KEY"]
JWT_KEY = os.environ["CLERK_JWT_KEY"].replace("\\n", "\n")
USER_ID = os.environ["CLERK_USER_ID"]
SESSION_ID = os.environ["CLERK_SESSION_ID"]


def client(key: str) -> Clerk:
    return Clerk(bearer_auth=key, server_url=f"{API_URL}/v1")


def refuses(call, status: int, code: str) -> None:
    try:
        call()
    except models.ClerkErrors as error:
        assert error.status_code == status, error
        assert error.data.errors[0].code == code, error
        assert "clerk_trace_id" in error.body
    else:
        raise AssertionError("nothing was refused")


def claims_of(token: str) -> dict:
    by_key = verify_token(token, VerifyTokenOptions(jwt_key=JWT_KEY))
    by_jwks = verify_token(token, VerifyTokenOptions(secret_key=SECRET_KEY, api_url=API_URL))
    assert by_key == by_jwks
    return by_key


def lists_and_gets_sessions(clerk: Clerk):
    sessions = clerk.sessions.list(user_id=USER_ID, limit=50)
    assert SESSION_ID in [session.id for session in sessions]
    session = clerk.sessions.get(session_id=SESSION_ID)
    assert session.user_id == USER_ID
    assert session.status == "active"
    return session.id


def creates_and_revokes_sessions(clerk: Clerk):
    session = clerk.sessions.create(request={"user_id": USER_ID})
    revoked = clerk.sessions.revoke(session_id=session.id)
    assert revoked.status == "revoked"
    refuses(lambda: clerk.sessions.create_token(session_id=session.id), 404, "resource_not_found")
    return revoked.status


def mints_session_tokens_that_verify(clerk: Clerk):
    token = clerk.sessions.create_token(session_id=SESSION_ID, expires_in_seconds=90)
    claims = claims_of(token.jwt)
    assert claims["sid"] == SESSION_ID and claims["sub"] == USER_ID
    assert claims["exp"] - claims["iat"] == 90
    return claims


def mints_template_tokens_that_verify(clerk: Clerk):
    token = clerk.sessions.create_token_from_template(session_id=SESSION_ID, template_name="hasura")
    claims = claims_of(token.jwt)
    assert claims["https://hasura.io/jwt/claims"]["x-hasura-user-id"] == USER_ID
    return claims


def fetches_the_jwks(clerk: Clerk):
    keys = clerk.jwks.get_jwks().keys
    return [key.kid for key in keys]


def authenticates_requests(clerk: Clerk):
    token = clerk.sessions.create_token(session_id=SESSION_ID).jwt
    request = httpx.Request("GET", "http://app.example.com/", headers={"Authorization": f"Bearer {token}"})
    state = authenticate_request(request, AuthenticateRequestOptions(jwt_key=JWT_KEY))
    assert state.is_signed_in, state.reason
    assert "org:invoices:read" in state.payload["org_permissions"]
    return state.payload["org_permissions"]


def lists_creates_and_counts_users(clerk: Clerk):
    before = clerk.users.count().total_count
    user = clerk.users.create(email_address=["alan@example.com"], first_name="Alan")
    assert clerk.users.count().total_count == before + 1
    found = clerk.users.list(request={"email_address": ["alan@example.com"]})
    assert [one.id for one in found] == [user.id]
    assert clerk.users.get(user_id=user.id).first_name == "Alan"
    clerk.users.delete(user_id=user.id)
    refuses(lambda: clerk.users.get(user_id=user.id), 404, "resource_not_found")
    return before


def knows_organizations_and_templates(clerk: Clerk):
    organizations = clerk.organizations.list()
    members = clerk.organization_memberships.list(organization_id=organizations.data[0].id)
    assert members.total_count >= 1
    names = [template.name for template in clerk.jwt_templates.list()]
    assert "hasura" in names
    return names


def refuses_a_wrong_secret_key(_: Clerk):
    wrong = client("sk_test_wrong")
    refuses(lambda: wrong.sessions.get(session_id=SESSION_ID), 401, "clerk_key_invalid")


STEPS = [
    lists_and_gets_sessions,
    creates_and_revokes_sessions,
    mints_session_tokens_that_verify,
    mints_template_tokens_that_verify,
    fetches_the_jwks,
    authenticates_requests,
    lists_creates_and_counts_users,
    knows_organizations_and_templates,
    refuses_a_wrong_secret_key,
]

if __name__ == "__main__":
    with client(SECRET_KEY) as sdk:
        for step in STEPS:
            shown = step(sdk)
            print(f"ok: {step.__name__.replace('_', ' ')}: {json.dumps(shown, default=str)}")
