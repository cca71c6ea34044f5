//! Each format's exact bytes, and templates.

use std::process::Command;

use phase_csi_cluster::{Node, Pod, secret};
use tonic::Code;

use crate::support::{objects, refusal};

/// Values that readers get wrong when they are written carelessly.
const AWKWARD: [(&str, &str); 7] = [
    ("BACKSLASH", r"C:\new"),
    ("DOLLAR", "  $HOME $(id) `id` #c"),
    ("EMPTY", ""),
    ("LINES", "first\nsecond\n"),
    ("NUMBER", "0123"),
    ("QUOTES", r#"it's "so""#),
    ("UNICODE", "Grüße 🔐"),
];

/// A pod with one file of this format that holds the awkward values.
async fn mounted(name: &'static str, format: &str) -> (Node, Pod) {
    let secrets = AWKWARD.map(|(key, value)| secret("/", key, value));
    let node = Node::with(name, secrets.into()).start().await;
    let list = format!("- {{objectName: etc/all, format: {format}}}");
    let pod = node.pod("web", objects(&list)).await;
    pod.mount().await.unwrap();
    (node, pod)
}

async fn assert_file(name: &'static str, format: &str, bytes: &str) {
    let (_node, pod) = mounted(name, format).await;
    assert_eq!(pod.volume().text("etc/all").as_deref(), Some(bytes));
    assert_eq!(pod.volume().files().len(), 1, "one file, whatever it holds");
}

#[tokio::test]
async fn dotenv_is_lines_that_the_dotenv_libraries_read() {
    let bytes = r#"BACKSLASH='C:\new'
DOLLAR='  $HOME $(id) `id` #c'
EMPTY=
LINES='first
second
'
NUMBER=0123
QUOTES=it's "so" #' x
UNICODE='Grüße 🔐'
"#;
    assert_file("dotenv", "dotenv", bytes).await;
}

#[tokio::test]
async fn json_is_one_object_of_strings() {
    let bytes = r#"{
  "BACKSLASH": "C:\\new",
  "DOLLAR": "  $HOME $(id) `id` #c",
  "EMPTY": "",
  "LINES": "first\nsecond\n",
  "NUMBER": "0123",
  "QUOTES": "it's \"so\"",
  "UNICODE": "Grüße 🔐"
}
"#;
    assert_file("json", "json", bytes).await;
}

#[tokio::test]
async fn yaml_is_one_mapping_of_quoted_strings() {
    let bytes = r#""BACKSLASH": "C:\\new"
"DOLLAR": "  $HOME $(id) `id` #c"
"EMPTY": ""
"LINES": "first\nsecond\n"
"NUMBER": "0123"
"QUOTES": "it's \"so\""
"UNICODE": "Grüße 🔐"
"#;
    assert_file("yaml", "yaml", bytes).await;
}

#[tokio::test]
async fn toml_is_one_table_of_strings_on_one_line_each() {
    let bytes = r#"BACKSLASH = 'C:\new'
DOLLAR = "  $HOME $(id) `id` #c"
EMPTY = ""
LINES = "first\nsecond\n"
NUMBER = "0123"
QUOTES = "it's \"so\""
UNICODE = "Grüße 🔐"
"#;
    assert_file("toml", "toml", bytes).await;
}

#[tokio::test]
async fn properties_are_ascii_lines_that_java_loads() {
    let bytes = r#"BACKSLASH=C:\\new
DOLLAR=\ \ $HOME $(id) `id` #c
EMPTY=
LINES=first\nsecond\n
NUMBER=0123
QUOTES=it's "so"
UNICODE=Gr\u00FC\u00DFe \uD83D\uDD10
"#;
    assert_file("properties", "properties", bytes).await;
}

#[tokio::test]
async fn shell_is_a_script_that_sh_sources() {
    let (_node, pod) = mounted("shell", "shell").await;
    let bytes = r#"export BACKSLASH='C:\new'
export DOLLAR='  $HOME $(id) `id` #c'
export EMPTY=''
export LINES='first
second
'
export NUMBER='0123'
export QUOTES='it'\''s "so"'
export UNICODE='Grüße 🔐'
"#;
    assert_eq!(pod.volume().text("etc/all").as_deref(), Some(bytes));
    let script = pod.target().join("etc/all");
    for (key, value) in AWKWARD {
        let output = Command::new("sh")
            .env_clear()
            .args(["-c", ". \"$1\"; exec printenv \"$2\"", "sh"])
            .args([script.as_os_str(), key.as_ref()])
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed, format!("{value}\n"), "{key}");
    }
}

#[tokio::test]
async fn what_a_format_cannot_carry_is_an_error_with_the_key() {
    let node = Node::with(
        "unwritable",
        vec![
            secret("/", "BINARY", "AP8="),
            secret("/other", "with-dash", "canary"),
        ],
    )
    .start()
    .await;
    let list = "
- {objectName: a.json, format: json, encoding: base64}
- {objectName: b.env, format: dotenv, path: /other}
";
    let pod = node.pod("web", objects(list)).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::InvalidArgument, "{said}");
    for part in [
        r#"objects[0]: secret "BINARY" cannot be written as json: its value is not UTF-8 text"#,
        r#"objects[1]: secret "with-dash" cannot be written as dotenv: its name "with-dash" is no variable name"#,
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("canary"), "{said}");
}

const DATABASE: &str = "
- objectName: app/database.conf
  include: [DB_*]
  template: |
    # made by the provider
    url = jdbc:postgresql://{{ DB_HOST }}:{{ DB_PORT|default(\"5432\") }}/shop
    password = {{ DB_PASSWORD|quote }}
    {% for key, value in secrets|items %}
    # {{ key }} has {{ value|length }} characters
    {% endfor %}
";

#[tokio::test]
async fn a_template_makes_one_file_of_its_secrets() {
    let node = Node::with(
        "template",
        vec![
            secret("/", "DB_HOST", "db.internal"),
            secret("/", "DB_PASSWORD", "pa\"55\n{{ DB_HOST }}"),
            secret("/", "OTHER", "x"),
        ],
    )
    .start()
    .await;
    let pod = node.pod("web", objects(DATABASE)).await;
    pod.mount().await.unwrap();
    let bytes = r##"# made by the provider
url = jdbc:postgresql://db.internal:5432/shop
password = "pa\"55\n{{ DB_HOST }}"
# DB_HOST has 11 characters
# DB_PASSWORD has 19 characters
"##;
    assert_eq!(
        pod.volume().text("app/database.conf").as_deref(),
        Some(bytes)
    );
    assert_eq!(pod.volume().files().len(), 1);
}

#[tokio::test]
async fn a_templates_missing_key_is_told_with_its_line_and_nothing_is_mounted() {
    let node = Node::with(
        "template-missing",
        vec![
            secret("/", "DB_HOST", "canary-host"),
            secret("/", "DB_PASWORD", "canary-password"),
        ],
    )
    .start()
    .await;
    let list = format!("- {{objectName: fine, secretKey: DB_HOST}}{DATABASE}");
    let pod = node.pod("web", objects(&list)).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::NotFound, "{said}");
    assert_eq!(
        said,
        r#"objects[1]: template: line 3: no secret "DB_PASSWORD" is selected: did you mean "DB_PASWORD"?"#
    );
    node.phase.set("/", "DB_PASSWORD", "mended");
    pod.mount_at_last().await;
    let made = pod.volume().text("app/database.conf").unwrap();
    assert!(made.contains("password = \"mended\"\n"), "{made}");
}

#[tokio::test]
async fn a_template_that_is_wrong_is_refused_with_its_line_before_phase_is_asked() {
    let node = Node::with("template-wrong", vec![secret("/", "KEY", "v")])
        .start()
        .await;
    let list = "
- objectName: a
  template: |
    fine: {{ KEY }}
    wrong: {{ KEY|b64encod }}
";
    let pod = node.pod("web", objects(list)).await;
    let (code, said) = refusal(&pod).await;
    assert_eq!(code, Code::InvalidArgument, "{said}");
    assert!(
        said.contains("objects[0].template (line 5, column 5): template: ")
            && said.contains("did you mean \"b64encode\"?"),
        "{said}"
    );
    assert_eq!(node.phase.connections(), 0);
}
