//! Pointers are RFC 6901's, fields come back as they are stored.

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

fn found(pointer: &str, json: &str) -> Result<String, String> {
    let pointer = Pointer::parse(pointer).map_err(|problem| problem.to_string())?;
    let field = pointer.find(json).map_err(|problem| problem.to_string())?;
    Ok(field.expose_secret().to_owned())
}

/// The document and the results of RFC 6901 §5.
const OF_THE_RFC: &str = r#"{ "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3,
    "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8 }"#;

#[test]
fn the_examples_of_the_rfc_hold() {
    for (pointer, field) in [
        ("", OF_THE_RFC),
        ("/foo", r#"["bar", "baz"]"#),
        ("/foo/0", "bar"),
        ("/foo/1", "baz"),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        ("/i\\j", "5"),
        ("/k\"l", "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
    ] {
        assert_eq!(
            found(pointer, OF_THE_RFC).as_deref(),
            Ok(field),
            "{pointer}"
        );
        let written = Pointer::parse(pointer).expect("well-formed");
        assert_eq!(written.as_str(), pointer);
    }
}

#[test]
fn strings_give_their_text_and_all_else_its_json_as_stored() {
    for (field, text) in [
        (r#""a\n\"\u00e9\ud83e\udd80\/\\""#, "a\n\"é🦀/\\"),
        (r#""\b\f\r\t\u0000""#, "\u{8}\u{c}\r\t\0"),
        (r#""é \uFFFF""#, "é \u{ffff}"),
        (r#""""#, ""),
        ("1.10", "1.10"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("-0", "-0"),
        ("1E400", "1E400"),
        ("null", "null"),
        ("true", "true"),
        ("{ \"b\" : [ 1 ] }", "{ \"b\" : [ 1 ] }"),
        ("\"~1\"", "~1"),
    ] {
        let json = format!(" {{\"x\":[], \"a\" : {field} }}\n");
        assert_eq!(found("/a", &json).as_deref(), Ok(text), "{json}");
        assert_eq!(found("", field).as_deref(), Ok(text), "{field}");
    }
}

#[test]
fn the_last_of_two_equal_names_counts() {
    assert_eq!(found("/a", r#"{"a":1,"a":2}"#).as_deref(), Ok("2"));
    assert_eq!(found("/a", r#"{"\u0061":1}"#).as_deref(), Ok("1"));
}

#[test]
fn every_wrong_pointer_has_its_text() {
    let slash = "a JSON pointer begins with \"/\", like \"/password\"";
    let tilde = "\"~\" must be written \"~0\", and a \"/\" in a name \"~1\"";
    let long = "it is longer than 32 steps or 1024 bytes";
    for (pointer, text) in [
        ("a", slash),
        ("#/a", slash),
        ("$.a", slash),
        ("/~", tilde),
        ("/a~2", tilde),
        ("/~é", tilde),
        (&"/a".repeat(33), long),
        (&format!("/{}", "a".repeat(1024)), long),
    ] {
        assert_eq!(found(pointer, "{}"), Err(text.to_owned()), "{pointer}");
    }
    assert!(Pointer::parse(&"/a".repeat(32)).is_ok());
}

#[test]
fn every_missing_field_says_where_the_way_ends() {
    let json = r#"{"db":{"users":["ann"],"port":5432},"canary":"canary"}"#;
    for (pointer, text) in [
        ("/user", "its value has no field \"/user\""),
        ("/db/user", "its value has no field \"/db/user\""),
        (
            "/database/user/name",
            "its value has no field \"/database/user/name\" (there is no \"/database\")",
        ),
        (
            "/db/port/0/a~1b",
            "its value has no field \"/db/port/0/a~1b\" (there is no \"/db/port/0\")",
        ),
        ("/db/users/1", "its value has no field \"/db/users/1\""),
        ("/db/users/-", "its value has no field \"/db/users/-\""),
        ("/db/users/00", "its value has no field \"/db/users/00\""),
        ("/db/users/+0", "its value has no field \"/db/users/+0\""),
        ("/db/users/", "its value has no field \"/db/users/\""),
        ("/canary/0", "its value has no field \"/canary/0\""),
    ] {
        assert_eq!(found(pointer, json), Err(text.to_owned()), "{pointer}");
    }
}

#[test]
fn what_is_not_json_is_refused_whatever_the_pointer() {
    for json in [
        "",
        "canary",
        "{",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1} x",
        "[1,]",
        "\"\n\"",
        "{\"a\":\"\\x\"}",
    ] {
        for pointer in ["", "/a"] {
            let text = "its value is not JSON".to_owned();
            assert_eq!(found(pointer, json), Err(text), "{json} {pointer}");
        }
    }
}

#[test]
fn half_of_a_surrogate_pair_is_no_text() {
    for json in [
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\ud83ex\udd80"}"#,
        r#"{"a":"\ud83e\u0041"}"#,
    ] {
        let text = "its value has a text at \"/a\" that is not Unicode".to_owned();
        assert_eq!(found("/a", json), Err(text), "{json}");
    }
}

#[test]
fn depth_costs_no_stack() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(found("/0/0", &deep).map(|text| text.len()), Ok(199_997));
    assert!(found("/a", &"{\"a\":".repeat(100_000)).is_err());
}

proptest! {
    #[test]
    fn every_text_under_every_name_comes_back(name: String, text: String, number: f64) {
        let json = serde_json::json!({"before": number, name.as_str(): ["", text.as_str()]});
        let escaped = name.replace('~', "~0").replace('/', "~1");
        let pointer = format!("/{escaped}/1");
        prop_assume!(pointer.len() <= MOST_BYTES);
        prop_assert_eq!(found(&pointer, &json.to_string()), Ok(text));
    }

    #[test]
    fn no_text_makes_it_panic(pointer: String, json: String) {
        let _ = found(&pointer, &json);
        let _ = found(&format!("/{pointer}"), &format!("{{\"a\":\"{json}\"}}"));
    }
}
