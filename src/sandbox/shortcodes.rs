//! The language of JWT templates: `{{user.id}}`, `{{org.role || 'none'}}`.

use serde_json::{Map, Value};

/// Fills every shortcode in `claims` with what `facts` hold.
///
/// <https://clerk.com/docs/guides/sessions/jwt-templates>
pub(crate) fn fill(claims: &Map<String, Value>, facts: &Value) -> Map<String, Value> {
    let filled = claims.iter();
    filled
        .map(|(name, claim)| (name.clone(), fill_value(claim, facts)))
        .collect()
}

fn fill_value(claim: &Value, facts: &Value) -> Value {
    match claim {
        Value::String(text) => fill_text(text, facts),
        Value::Array(items) => items.iter().map(|item| fill_value(item, facts)).collect(),
        Value::Object(members) => Value::Object(fill(members, facts)),
        other => other.clone(),
    }
}

fn fill_text(text: &str, facts: &Value) -> Value {
    let Some((before, expression, after)) = next_shortcode(text) else {
        return text.into();
    };
    if before.is_empty() && after.is_empty() {
        return evaluate(expression, facts);
    }
    let mut filled = before.to_owned();
    let mut rest = Some((expression, after));
    while let Some((expression, after)) = rest {
        filled.push_str(&spelled(evaluate(expression, facts)));
        rest = next_shortcode(after).map(|(before, expression, after)| {
            filled.push_str(before);
            (expression, after)
        });
        if rest.is_none() {
            filled.push_str(after);
        }
    }
    filled.into()
}

fn next_shortcode(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (expression, after) = rest.split_once("}}")?;
    Some((before, expression, after))
}

fn evaluate(expression: &str, facts: &Value) -> Value {
    let mut value = Value::Null;
    for alternative in expression.split("||") {
        value = operand(alternative.trim(), facts);
        if !matches!(value, Value::Null | Value::Bool(false)) {
            break;
        }
    }
    value
}

fn operand(text: &str, facts: &Value) -> Value {
    let quoted = ['\'', '"'].into_iter().find_map(|quote| {
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        Some(Value::from(inner))
    });
    quoted.unwrap_or_else(|| look_up(text, facts))
}

fn look_up(path: &str, facts: &Value) -> Value {
    let found = path
        .split('.')
        .try_fold(facts, |value, name| value.get(name.trim()));
    match found {
        None => Value::Null,
        Some(Value::String(text)) if text.is_empty() => Value::Null,
        Some(value) => value.clone(),
    }
}

fn spelled(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(claim: Value) -> Value {
        let facts = json!({
            "user": {
                "id": "user_1",
                "first_name": "Ada",
                "username": "",
                "two_factor_enabled": false,
                "public_metadata": {"role": "editor", "limits": {"rows": 7}},
            },
            "org": null,
        });
        fill_value(&claim, &facts)
    }

    #[test]
    fn shortcodes_follow_clerks_rules() {
        for (claim, value) in [
            (json!("{{user.id}}"), json!("user_1")),
            (json!("{{ user.id }}"), json!("user_1")),
            (json!("{{user.public_metadata.role}}"), json!("editor")),
            (json!("{{user.public_metadata.limits}}"), json!({"rows": 7})),
            (json!("{{user.public_metadata.limits.rows}}"), json!(7)),
            (
                json!("rows: {{user.public_metadata.limits.rows}}!"),
                json!("rows: 7!"),
            ),
            (
                json!("{{user.first_name}} {{user.id}}"),
                json!("Ada user_1"),
            ),
            (json!("a {{org.id}} b"), json!("a null b")),
            (json!("{{org.id}}"), json!(null)),
            (json!("{{user.username}}"), json!(null)),
            (json!("{{user.no.such.thing}}"), json!(null)),
            (json!("{{org.id || user.id}}"), json!("user_1")),
            (
                json!("{{org.id || user.username || 'nobody'}}"),
                json!("nobody"),
            ),
            (json!("{{user.two_factor_enabled}}"), json!(false)),
            (json!("{{user.two_factor_enabled || 'off'}}"), json!("off")),
            (json!("{{org.id || ''}}"), json!("")),
            (
                json!(["{{user.id}}", 1, {"x": "{{org.id}}"}]),
                json!(["user_1", 1, {"x": null}]),
            ),
            (json!("{{user.id"), json!("{{user.id")),
            (json!("{{}}"), json!(null)),
            (json!("plain"), json!("plain")),
        ] {
            assert_eq!(filled(claim.clone()), value, "{claim}");
        }
    }
}
