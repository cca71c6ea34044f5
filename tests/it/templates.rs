//! Files from templates: the examples, and templates that mean harm.

use std::path::Path;

use phase_csi_provider::render::format::Pair;
use phase_csi_provider::render::template::{Template, TemplateError, TemplateProblem};
use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::Value;

fn render(template: &Template, secrets: &[(&str, &str)]) -> Result<String, TemplateError> {
    let pairs: Vec<_> = secrets
        .iter()
        .map(|(key, value)| Pair {
            name: "templates take the key",
            key,
            value: value.as_bytes(),
        })
        .collect();
    let file = template.render(&pairs)?;
    Ok(String::from_utf8(file.expose_secret().to_vec()).unwrap())
}

/// The template of an example's only entry.
fn example(name: &str) -> Template {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("daemonset/examples");
    let text = std::fs::read_to_string(path.join(name)).unwrap();
    let class: Value = serde_saphyr::from_str(&text).unwrap();
    let objects = class["spec"]["parameters"]["objects"].as_str().unwrap();
    let objects: Value = serde_saphyr::from_str(objects).unwrap();
    assert_eq!(objects.as_array().unwrap().len(), 1);
    Template::parse(objects[0]["template"].as_str().unwrap()).unwrap()
}

#[test]
fn the_jdbc_example_is_a_properties_file() {
    let template = example("jdbc-properties.yaml");
    let mut secrets = vec![
        ("DB_HOST", "orders.cluster-c1a2.eu-west-1.rds.amazonaws.com"),
        ("DB_NAME", "orders"),
        ("DB_USER", "orders_rw"),
        ("DB_PASSWORD", "t8\\Qz=:7#n'\"x"),
    ];
    let file = "jdbcUrl=jdbc:postgresql://orders.cluster-c1a2.eu-west-1.rds.amazonaws.com:5432/orders?sslmode=verify-full\n\
        username=orders_rw\n\
        # A backslash begins an escape in this format.\n\
        password=t8\\\\Qz=:7#n'\"x\n";
    assert_eq!(render(&template, &secrets).unwrap(), file);
    secrets.extend([("DB_POOL_SIZE", "20"), ("DB_PORT", "6432")]);
    let file = file.replace(":5432", ":6432") + "maximumPoolSize=20\n";
    assert_eq!(render(&template, &secrets).unwrap(), file);
    secrets.remove(3);
    let error = render(&template, &secrets).unwrap_err().to_string();
    assert!(
        error.starts_with("line 4: no secret \"DB_PASSWORD\" is selected"),
        "{error}"
    );
}

#[test]
fn the_nginx_example_is_a_snippet() {
    let secrets = [
        ("BLOCKED_AGENTS", "masscan\nsql\"map\n"),
        ("UPSTREAM_HOST", "ledger.internal.example.com"),
        ("UPSTREAM_USER", "web"),
        ("UPSTREAM_PASSWORD", "$uper;\"s3cret\""),
    ];
    let file = r#"# include /secrets/snippets/upstreams.conf; in a server block
if ($http_user_agent ~* "masscan") { return 403; }
if ($http_user_agent ~* "sql\"map") { return 403; }
location /api/ {
    proxy_pass https://ledger.internal.example.com/;
    proxy_ssl_server_name on;
    # base64 needs no quoting, whatever the password holds.
    proxy_set_header Authorization "Basic d2ViOiR1cGVyOyJzM2NyZXQi";
}
"#;
    assert_eq!(render(&example("nginx.yaml"), &secrets).unwrap(), file);
}

#[test]
fn the_tls_example_is_one_pem_file() {
    let pem =
        |name: &str, body: &str| format!("-----BEGIN {name}-----\n{body}\n-----END {name}-----\n");
    let key = pem(
        "PRIVATE KEY",
        "MC4CAQAwBQYDK2VwBCIEIDXGbCVzUkmRVvWWVYwAcoHJTMDGSzOdyVwGNzKiLnVN",
    );
    let certificate = pem("CERTIFICATE", "MIIBPzCB8qADAgECAhQe0bZ6iA==");
    let chain =
        pem("CERTIFICATE", "MIIBRzCB+qADAgECAhR0Jc3hYQ==") + &pem("CERTIFICATE", "MIIBRTCB+A==");
    let stored = format!("\n{key}\n");
    let mut secrets = vec![
        ("TLS_KEY", stored.as_str()),
        ("TLS_CERT", certificate.trim_end()),
        ("TLS_CHAIN", chain.as_str()),
    ];
    let template = example("tls-bundle.yaml");
    let file = format!("{key}{certificate}{chain}");
    assert_eq!(render(&template, &secrets).unwrap(), file);
    secrets.pop();
    let file = format!("{key}{certificate}");
    assert_eq!(render(&template, &secrets).unwrap(), file);
}

/// In a thread with the stack that a worker of the daemon has.
fn on_a_workers_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(work).unwrap().join().unwrap()
}

fn outcome(template: String) -> Result<String, TemplateProblem> {
    on_a_workers_stack(move || {
        let big = "0123456789abcdef".repeat(1 << 15);
        let lines = "line\n".repeat(1 << 14);
        let secrets = [("BIG", big.as_str()), ("LINES", &lines), ("S", "\\\\\\\\")];
        let template = Template::parse(&template).map_err(|error| error.problem)?;
        render(&template, &secrets).map_err(|error| error.problem)
    })
}

/// Work that grows without end stops at the limit of work, or of the file.
#[rstest]
#[case::doubling("{% set a = S %}".to_owned() + &"{% set a = a ~ a %}".repeat(60))]
#[case::doubling_by_capture("{% set a = S %}".to_owned() + &"{% set a %}{{ a }}{{ a }}{% endset %}".repeat(60))]
#[case::doubling_by_quoting(format!("{{{{ S{} }}}}", "|quote".repeat(100)))]
#[case::doubling_by_json(format!("{{{{ S{} }}}}", "|json".repeat(100)))]
#[case::growing_by_base64(format!("{{{{ BIG{} }}}}", "|b64encode".repeat(100)))]
#[case::replacing("{{ LINES|replace('l', BIG) }}".to_owned())]
#[case::replacing_twice("{{ LINES|replace('l', LINES)|replace('l', LINES) }}".to_owned())]
#[case::joining("{{ LINES|lines|join(BIG) }}".to_owned())]
#[case::indenting(format!("{{{{ LINES{} }}}}", "|indent(80)".repeat(40)))]
#[case::loops("{% for a in LINES %}".repeat(20) + &"{% endfor %}".repeat(20))]
#[case::loops_of_lists("{% for a in LINES|lines %}".repeat(20) + &"{% endfor %}".repeat(20))]
#[case::loops_over_secrets("{% for a in secrets|items %}".repeat(30) + "x" + &"{% endfor %}".repeat(30))]
#[case::printing("{{ BIG }}".repeat(7000))]
#[case::printing_nowhere("{% set a %}{{ BIG }}{% endset %}".repeat(2000))]
#[case::searching("{% for c in LINES %}{% if 'zz' in BIG %}{% endif %}{% endfor %}".to_owned())]
#[case::sorting("{% for c in LINES %}{% set a = LINES|lines|sort %}{% endfor %}".to_owned())]
#[case::counting("{% for c in LINES %}{% set a = BIG|length %}{% endfor %}".to_owned())]
#[case::filtered_blocks("{% filter quote %}".repeat(100) + "\\" + &"{% endfilter %}".repeat(100))]
fn a_bomb_stops_at_a_limit(#[case] template: String) {
    let problem = outcome(template).map(|file| file.len()).unwrap_err();
    assert!(
        matches!(
            problem,
            TemplateProblem::TooMuchWork | TemplateProblem::TooLarge
        ),
        "{problem}"
    );
}

/// What minijinja would do without counting is not in the language.
#[rstest]
#[case("{{ 'x' * 1000000000 }}")]
#[case("{{ ['x'] * 1000000000 }}")]
#[case("{{ 10 ** 1000000 }}")]
#[case("{{ [BIG, BIG] }}")]
#[case("{% set a = (S, S) %}")]
#[case("{% set a = S, S %}")]
#[case("{% set a, b = S %}")]
#[case("{{ BIG[5] }}")]
#[case("{{ BIG[::-1] }}")]
#[case("{{ BIG.5 }}")]
#[case("{{ BIG == LINES }}")]
#[case("{{ BIG in LINES }}")]
#[case("{% set in = BIG %}")]
#[case("{{ S|default(S).x(1) }}")]
#[case("{{ dict(a=1) }}")]
#[case("{% for a in secrets recursive %}{{ loop([a]) }}{% endfor %}")]
#[case("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}")]
#[case("{% include 'template' %}")]
#[case("{% extends 'template' %}")]
#[case("{% block a %}{{ self.a() }}{% endblock %}")]
#[case("{% do S %}")]
#[case("{% autoescape true %}{% endautoescape %}")]
fn what_is_not_counted_is_left_out(#[case] template: &str) {
    let error = Template::parse(template).unwrap_err();
    assert!(
        matches!(
            error.problem,
            TemplateProblem::Unsupported { .. } | TemplateProblem::Unknown { .. }
        ),
        "{error}"
    );
}

/// Parsed, rendered or refused: the stack is never used up.
#[rstest]
#[case(format!("{{{{ {}S }}}}", "not ".repeat(253)))]
#[case(format!("{{{{ {}S }}}}", "- ".repeat(253)))]
#[case(format!("{{{{ {}S }}}}", "-(".repeat(126)))]
#[case(format!("{{{{ {}S{} }}}}", "(".repeat(126), ")".repeat(126)))]
#[case(format!("{{{{ S{} }}}}", "~S".repeat(126)))]
#[case(format!("{{{{ S{} }}}}", ".a".repeat(126)))]
#[case(format!("{{{{ S{} }}}}", "|upper".repeat(126)))]
#[case(format!("{{{{ S{} }}}}", " if S else S".repeat(62)))]
#[case(format!("{{{{ S{}{} }}}}", "|default(S".repeat(60), ")".repeat(60)))]
#[case(format!("{{{{ {}'S'{} }}}}", "secrets[".repeat(80), "]".repeat(80)))]
#[case("{% if S %}".repeat(140) + &format!("{{{{ {}S }}}}", "-".repeat(253)) + &"{% endif %}".repeat(140))]
#[case("{% if S %}".repeat(2000))]
#[case("{% with a = S %}".repeat(140) + &"{% endwith %}".repeat(140))]
#[case("{% set a %}".repeat(140) + &"{% endset %}".repeat(140))]
#[case(format!("{}{{% if S %}}{}{{% endif %}}{}", "{% if S %}".repeat(75), "{% elif S %}".repeat(64), "{% endif %}".repeat(75)))]
#[case(format!("{{{{ {}S }}}}", "-".repeat(60_000)))]
#[case(format!("{{% if S %}}{}{{% endif %}}", "{% elif S %}".repeat(5_000)))]
#[case("{{".repeat(20_000))]
#[case("{% raw %}".repeat(5_000))]
#[case("{#".repeat(20_000))]
fn depth_never_uses_up_the_stack(#[case] template: String) {
    let _ = outcome(template);
}

#[test]
fn equal_secrets_make_an_equal_file_in_whatever_order_they_come() {
    let template = Template::parse("{% for k, v in secrets|items %}{{ k }}={{ v }};{% endfor %}");
    let template = template.unwrap();
    let mut secrets = [("b", "1"), ("a", "2"), ("B", "3")];
    assert_eq!(render(&template, &secrets).unwrap(), "B=3;a=2;b=1;");
    secrets.reverse();
    assert_eq!(render(&template, &secrets).unwrap(), "B=3;a=2;b=1;");
}

#[test]
fn a_file_of_just_the_limit_is_made() {
    let half = "x".repeat(2 << 20);
    let template = Template::parse("{{ A }}{{ A }}").unwrap();
    assert_eq!(render(&template, &[("A", &half)]).unwrap().len(), 4 << 20);
    let template = Template::parse("{{ A }}{{ A }}x").unwrap();
    let problem = render(&template, &[("A", &half)]).unwrap_err().problem;
    assert_eq!(problem, TemplateProblem::TooLarge);
}
