//! What templates make, and every error in its words.

mod wrong;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;
use wrong::WRONG;

const CANARY: &str = "c4n4ry";

fn pairs<'a>(secrets: &'a [(&'a str, &'a [u8])]) -> Vec<Pair<'a>> {
    let pair = |(key, value): &(&'a str, &'a [u8])| Pair {
        name: "unused",
        key,
        value,
    };
    secrets.iter().map(pair).collect()
}

fn render(template: &str, secrets: &[(&str, &[u8])]) -> Result<String, String> {
    let template = Template::parse(template).map_err(|error| error.to_string())?;
    let file = template.render(&pairs(secrets));
    let file = file.map_err(|error| error.to_string())?;
    Ok(String::from_utf8(file.expose_secret().to_vec()).expect("templates make text"))
}

const SECRETS: [(&str, &[u8]); 4] = [
    ("DB_HOST", b"db.internal"),
    ("DB_PASSWORD", b"c4n4ry \"$x\" \\ it's"),
    ("a-b", b"1\n2\n3"),
    ("BIN", b"\xff\0c4n4ry"),
];

#[test]
fn secrets_are_variables_and_a_map_in_order() {
    for (template, file) in [
        ("", ""),
        ("a\n", "a\n"),
        ("{{ DB_HOST }}\n", "db.internal\n"),
        (
            "{{ secrets.DB_HOST }} {{ secrets['a-b']|length }}",
            "db.internal 5",
        ),
        (
            "{% for key, value in secrets|items %}{{ key }},{% endfor %}",
            "BIN,DB_HOST,DB_PASSWORD,a-b,",
        ),
        (
            "{% for key in secrets %}{{ loop.index }}{{ key }} {% endfor %}",
            "1BIN 2DB_HOST 3DB_PASSWORD 4a-b ",
        ),
        (
            "{% if 'X' in secrets or X is defined %}x{% else %}y{% endif %}",
            "y",
        ),
        (
            "{{ X|default('y') }}{{ X|default }}{{ ''|default('z', true) }}",
            "yz",
        ),
        ("{{ 'y' if DB_HOST == 'db.internal' else 'n' }}", "y"),
        ("{% if DB_HOST in ['x', 'db.internal'] %}y{% endif %}", "y"),
        (
            "{% set a = DB_HOST ~ ':' ~ 5432 %}{{ a }}",
            "db.internal:5432",
        ),
        (
            "{% with a = 'b' %}{{ a }}{% endwith %}{# c #}{% raw %}{{ x }}{% endraw %}",
            "b{{ x }}",
        ),
        (
            "{% filter upper %}{{ DB_HOST }}{% endfilter %}",
            "DB.INTERNAL",
        ),
        ("{% if BIN %}{{ secrets|length }}{% endif %}", "4"),
        (
            "[\n  {% for l in secrets['a-b']|lines %}\n  {{ l }}\n  {% endfor %}\n]\n",
            "[\n  1\n  2\n  3\n]\n",
        ),
        ("<b>&{{ DB_HOST|replace('.', '<&>') }}", "<b>&db<&>internal"),
    ] {
        assert_eq!(
            render(template, &SECRETS).as_deref(),
            Ok(file),
            "{template}"
        );
    }
}

#[test]
fn filters_do_what_their_names_say() {
    for (expression, text) in [
        ("'hi>'|b64encode", "aGk+"),
        ("'aGk+'|b64decode", "hi>"),
        ("BIN|b64encode", "/wBjNG40cnk="),
        ("DB_PASSWORD|quote", r#""c4n4ry \"$x\" \\ it's""#),
        ("DB_PASSWORD|shellquote", r#"'c4n4ry "$x" \ it'\''s'"#),
        ("secrets['a-b']|quote", r#""1\n2\n3""#),
        ("secrets['a-b']|indent", "1\n    2\n    3"),
        ("secrets['a-b']|indent(2, true)", "  1\n  2\n  3"),
        ("'a\n\nb\n'|indent(1)", "a\n\n b\n"),
        ("secrets['a-b']|lines|json", r#"["1","2","3"]"#),
        ("5|json ~ true|json ~ none|json", "5truenull"),
        ("['a', 1]|json", r#"["a",1]"#),
        ("['b', 'a']|sort|join('-')", "a-b"),
        (
            "['b', 'a']|first ~ ['b', 'a']|last ~ ['b', 'a']|join",
            "baba",
        ),
        ("' Ab\n'|trim|lower ~ 'ß'|upper", "abSS"),
        ("'éa'|length", "2"),
        ("'aaa'|replace('a', 'bb')", "bbbbbb"),
        (
            "'ab' is startingwith 'a' and 'ab' is endingwith('b')",
            "true",
        ),
        ("X is undefined and X is not defined", "true"),
    ] {
        let template = format!("{{{{ {expression} }}}}");
        assert_eq!(
            render(&template, &SECRETS).as_deref(),
            Ok(text),
            "{template}"
        );
    }
    let json = render("{{ secrets|json }}", &SECRETS[..2]);
    assert_eq!(
        json.as_deref(),
        Ok(r#"{"DB_HOST":"db.internal","DB_PASSWORD":"c4n4ry \"$x\" \\ it's"}"#)
    );
}

#[test]
fn every_wrong_template_has_its_text() {
    let mut wrong = Vec::new();
    for (template, text) in WRONG {
        let result = render(template, &SECRETS);
        if result != Err(text.to_owned()) {
            wrong.push(format!("{template}\n  {text}\n  {result:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_limit_has_its_text() {
    let large = "x".repeat(70_000);
    let many = "{% elif a %}".repeat(65);
    let secrets: [(&str, &[u8]); 1] = [("BIG", large.as_bytes())];
    for (template, text) in [
        (
            "x".repeat(65_537),
            "it is longer than 65536 bytes: make it two files",
        ),
        (
            format!("\n{{{{ a {} }}}}", "~ a".repeat(128)),
            "line 2: this tag has more than 256 words and signs: make it two",
        ),
        (
            format!("{{% if a %}}{many}{{% endif %}}"),
            "line 1: it has more than 64 elif: make it two files",
        ),
        (
            "{{ BIG ~ BIG }}".to_owned() + &"{{ BIG }}".repeat(59),
            "it makes more than 4194304 bytes: make it two files",
        ),
        (
            "\n{% for c in BIG %}{{ c }}{% endfor %}".to_owned(),
            "line 2: it takes more work than 131072 steps or 8 MiB of text: make it simpler",
        ),
    ] {
        let result = render(&template, &secrets).map(|file| file.len());
        assert_eq!(result, Err(text.to_owned()));
    }
    let twice = [SECRETS[0], SECRETS[0]];
    assert_eq!(
        render("", &twice),
        Err("two secrets named \"DB_HOST\" are selected: a template needs one of each".to_owned())
    );
}

#[test]
fn no_error_says_anything_of_a_value() {
    let fragments = [
        "DB_PASSWORD",
        "secrets[DB_PASSWORD]",
        "secrets",
        "BIN",
        "X",
        "(DB_PASSWORD|lines)",
        "5",
        "'a'",
        "secrets|items",
    ];
    let shapes = [
        "{{ # }}",
        "{{ #|b64decode }}",
        "{{ #|indent(@) }}",
        "{{ # - @ }}",
        "{{ # ~ @ }}",
        "{{ #.a.b }}",
        "{{ #|replace(@, #) }}",
        "{{ #|join(@) }}",
        "{{ #|items }}",
        "{{ -# }}",
        "{{ # < @ }}",
        "{{ # in @ }}",
        "{% for a, b in # %}{{ a }}{% endfor %}",
        "{% for a in # %}{{ a.x.y }}{% endfor %}",
        "{{ #|upper(@) }}",
        "{{ #|default(@, @) }}",
        "{{ # is startingwith @ }}",
        "{% set a.b = # %}",
        "{{ #|shellquote|sort }}",
        "{{ #|quote(a=@) }}",
        "{% if # %}{{ secrets[#] }}{% endif %}",
        "{{ #|length - @ }}",
        "{{ #|first|last }}",
        "{{ (#)|json|items }}",
    ];
    let mut errors = 0;
    for shape in shapes {
        for a in fragments {
            for b in fragments {
                let template = shape.replace('#', a).replace('@', b);
                let Ok(parsed) = Template::parse(&template) else {
                    continue;
                };
                if let Err(error) = parsed.render(&pairs(&SECRETS)) {
                    errors += 1;
                    let told =
                        format!("{error} {error:#} {error:?} {error:#?} {:?}", error.problem);
                    assert!(
                        !told.contains(CANARY) && !told.contains("it's"),
                        "{template}: {told}"
                    );
                }
            }
        }
    }
    assert!(errors > 500, "{errors}");
}

#[test]
fn a_template_is_its_text() {
    let template = Template::parse("{{ A }}").expect("well-formed");
    assert_eq!(template, template.clone());
    assert_ne!(template, Template::parse("{{ B }}").expect("well-formed"));
    assert_eq!(template.source(), "{{ A }}");
    assert_eq!(format!("{template:?}"), "Template(\"{{ A }}\")");
}

proptest! {
    #[test]
    fn quoted_texts_are_read_back(value: String) {
        let secrets: [(&str, &[u8]); 1] = [("A", value.as_bytes())];
        let quoted = render("{{ A|quote }}", &secrets).expect("it fits");
        let json: String = serde_json::from_str(&quoted).expect("JSON");
        let yaml: String = serde_saphyr::from_str(&quoted).expect("YAML");
        prop_assert_eq!((&json, &yaml), (&value, &value));
        let whole = render("{{ secrets|json }}", &secrets).expect("it fits");
        let whole: serde_json::Value = serde_json::from_str(&whole).expect("JSON");
        prop_assert_eq!(whole, serde_json::json!({"A": value}));
        let same = render("{{ A|b64encode|b64decode }}{{ A }}", &secrets).expect("it fits");
        prop_assert_eq!(same, value.repeat(2));
    }

    #[test]
    fn no_template_makes_it_panic(template in r"(\{\{|\{%|%\}|\}\}|[a-c]|[\[\](){},.|~'=-]| |if|for|in|is|set|secrets|default|items|end){0,40}") {
        let _ = render(&template, &SECRETS);
        let _ = render(&format!("{{{{ {template} }}}}"), &SECRETS);
    }
}
