//! Two answers compared field by field: what is random must have the same form and length, all else must be equal.

use serde_json::Value;

/// Fields of the wire that differ between two servers by nature, by their JSON path without list places.
const SEALED: [&str; 6] = [
    "wrapped_key_share",
    "wrapped_seed",
    "wrapped_salt",
    "key",
    "value",
    "comment",
];

/// The differences between `recorded` and `ours`, one line each.
pub(crate) fn differences(recorded: &Value, ours: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", recorded, ours, &mut found);
    found
}

fn compare(path: &str, recorded: &Value, ours: &Value, found: &mut Vec<String>) {
    match (recorded, ours) {
        (Value::Array(recorded), Value::Array(ours)) => {
            if recorded.len() != ours.len() {
                found.push(format!(
                    "{path}: {} items recorded, {} here",
                    recorded.len(),
                    ours.len()
                ));
            }
            // The real server promises no order.
            for (recorded, ours) in sorted(recorded).into_iter().zip(sorted(ours)) {
                compare(&format!("{path}[]"), recorded, ours, found);
            }
        }
        (Value::Object(recorded), Value::Object(ours)) => {
            let surplus = ours.keys().filter(|name| !recorded.contains_key(*name));
            found.extend(surplus.map(|name| format!("{path}.{name}: not recorded")));
            for (name, recorded) in recorded {
                match ours.get(name) {
                    Some(ours) => compare(&format!("{path}.{name}"), recorded, ours, found),
                    None => found.push(format!("{path}.{name}: missing here")),
                }
            }
        }
        _ if same(path, recorded, ours) => {}
        _ => found.push(format!(
            "{path}: recorded {}, here {}",
            brief(recorded),
            brief(ours)
        )),
    }
}

fn same(path: &str, recorded: &Value, ours: &Value) -> bool {
    let (Some(recorded_text), Some(our_text)) = (recorded.as_str(), ours.as_str()) else {
        return recorded == ours;
    };
    let field = path.rsplit('.').next().unwrap_or_default();
    let own_id = path.ends_with("environment_keys[].id")
        || path.ends_with("override.id")
        || field == "folder";
    if SEALED.contains(&field) {
        return recorded == ours || form(recorded_text) == form(our_text);
    }
    if own_id {
        return uuid(recorded_text) && uuid(our_text);
    }
    let in_tokens = path.contains("environment_keys") || path.contains("override");
    if in_tokens && field.ends_with("ed_at") {
        return timestamp(recorded_text) && timestamp(our_text);
    }
    recorded == ours
}

/// The prefix, the number of segments and the length of each.
fn form(sealed: &str) -> (bool, Vec<usize>) {
    (
        sealed.starts_with("ph:v1:"),
        sealed.split(':').map(str::len).collect(),
    )
}

fn uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12]
        && text
            .bytes()
            .all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn timestamp(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T') && [14, 20].contains(&digits)
}

fn sorted(items: &[Value]) -> Vec<&Value> {
    let mut items: Vec<&Value> = items.iter().collect();
    items.sort_by_key(|item| match &item["environment"]["id"] {
        Value::String(environment) => environment.clone(),
        _ => item["id"].as_str().unwrap_or_default().to_owned(),
    });
    items
}

fn brief(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::differences;
    use serde_json::json;

    #[test]
    fn a_difference_of_name_type_value_or_length_is_found() {
        let recorded =
            json!([{"id": "a", "version": 1, "value": "ph:v1:00:AAAA", "override": null}]);
        assert!(
            differences(
                &recorded,
                &json!([{"id": "a", "version": 1, "value": "ph:v1:11:BBBB", "override": null}])
            )
            .is_empty()
        );
        for other in [
            json!([]),
            json!([{"id": "a", "version": "1", "value": "ph:v1:00:AAAA", "override": null}]),
            json!([{"id": "a", "version": 2, "value": "ph:v1:00:AAAA", "override": null}]),
            json!([{"id": "a", "version": 1, "value": "ph:v1:00:AAAAA", "override": null}]),
            json!([{"id": "a", "version": 1, "value": "ph:v1:00:AAAA"}]),
            json!([{"id": "a", "version": 1, "value": "ph:v1:00:AAAA", "override": null, "more": 1}]),
        ] {
            assert_eq!(differences(&recorded, &other).len(), 1, "{other}");
        }
    }
}
