//! The text of every mistake in `objects` and `processors`, with its place.

use phase_csi_provider::class::{Class, Mistake};
use phase_csi_provider::phase::allowed::AllowedHosts;
use phase_csi_provider::phase::host::Host;

fn mistakes(parameter: &str, text: &str) -> Vec<Mistake> {
    let hosts = AllowedHosts::new(Host::default(), &[] as &[&str]).unwrap();
    let parameters = [("phaseApp", "a"), (parameter, text)];
    Class::read(parameters, &hosts).map(|_| ()).unwrap_err()
}

fn only(parameter: &str, text: &str) -> String {
    let mistakes = mistakes(parameter, text);
    assert_eq!(mistakes.len(), 1, "{text}: {mistakes:?}");
    assert_eq!(mistakes[0].place.parameter, parameter);
    mistakes[0].to_string()
}

/// A text of `objects`, and what is said about it.
pub const OBJECTS: [(&str, &str); 46] = [
    (
        "",
        "objects (line 1, column 1): nothing stands where a list of entries belongs: write a YAML list whose entries begin with \"- \", or leave objects out for one file a key",
    ),
    (
        "[]",
        "objects (line 1, column 1): an empty list stands where a list of entries belongs: write a YAML list whose entries begin with \"- \", or leave objects out for one file a key",
    ),
    (
        "secretKey: A",
        "objects (line 1, column 1): a map stands where a list of entries belongs: write a YAML list whose entries begin with \"- \", or leave objects out for one file a key",
    ),
    (
        "A",
        "objects (line 1, column 1): a text stands where a list of entries belongs: write a YAML list whose entries begin with \"- \", or leave objects out for one file a key",
    ),
    (
        "- secretKey: A\n---\n- secretKey: B\n",
        "objects (line 1, column 1): more than one document stands where a list of entries belongs: write a YAML list whose entries begin with \"- \", or leave objects out for one file a key",
    ),
    (
        "- secretKey: A: B\n",
        "objects (line 1, column 15): not YAML: mapping values are not allowed in this context: mend it there, or a line before",
    ),
    (
        "- include: [*_HOST]\n",
        "objects (line 1, column 13): * begins an alias, and this one names nothing: put a text that begins with * in quotes",
    ),
    (
        "- A\n",
        "objects[0] (line 1, column 3): a text stands where a map of fields belongs: write fields such as \"secretKey: DB_PASSWORD\"",
    ),
    (
        "- secretKey: A\n-\n",
        "objects[1] (line 2, column 2): nothing stands where a map of fields belongs: write fields such as \"secretKey: DB_PASSWORD\"",
    ),
    (
        "- {secretkey: A}\n",
        "objects[0].secretkey (line 1, column 4): unknown field \"secretkey\": did you mean \"secretKey\"?",
    ),
    (
        "- {objectAlias: A, secretKey: B}\n",
        "objects[0].objectAlias (line 1, column 4): unknown field \"objectAlias\": remove it",
    ),
    (
        "- {secretKey: A, secretKey: B}\n",
        "objects[0].secretKey (line 1, column 18): secretKey stands here twice: remove one",
    ),
    (
        "- {secretKey: }\n",
        "objects[0].secretKey (line 1, column 13): nothing stands where a text belongs: write a text, or leave the field out",
    ),
    (
        "- {secretKey: \"\"}\n",
        "objects[0].secretKey (line 1, column 15): secretKey is empty: write a text, or leave the field out",
    ),
    (
        "- {secretKey: [A]}\n",
        "objects[0].secretKey (line 1, column 15): a list stands where a text belongs: write a text, or leave the field out",
    ),
    (
        "- {secretKey: A, env: \"\"}\n",
        "objects[0].env (line 1, column 23): env is empty: write a text, or leave the field out",
    ),
    (
        "- {secretKey: A, include: [B]}\n",
        "objects[0] (line 1, column 3): secretKey and include cannot stand together: secretKey names one key; leave it out to select many",
    ),
    (
        "- {secretKey: A, exclude: [B]}\n",
        "objects[0] (line 1, column 3): secretKey and exclude cannot stand together: secretKey names one key; leave it out to select many",
    ),
    (
        "- {secretKey: A, recursive: true}\n",
        "objects[0] (line 1, column 3): secretKey and recursive cannot stand together: secretKey names one key of one folder: give its folder by path",
    ),
    (
        "- {objectName: f, format: json, template: x}\n",
        "objects[0] (line 1, column 3): format and template cannot stand together: make two entries",
    ),
    (
        "- {objectName: f, format: json, secretKey: A, field: /a}\n",
        "objects[0] (line 1, column 3): field and format cannot stand together: a field becomes a file of its own: make two entries",
    ),
    (
        "- {objectName: f, template: x, secretKey: A, field: /a}\n",
        "objects[0] (line 1, column 3): field and template cannot stand together: a field becomes a file of its own: make two entries",
    ),
    (
        "- {include: DB_*}\n",
        "objects[0].include (line 1, column 13): a text stands where a list of texts belongs: write for example [\"DB_*\", \"API_KEY\"]",
    ),
    (
        "- {exclude: [[A]]}\n",
        "objects[0].exclude (line 1, column 13): a list stands where a list of texts belongs: write for example [\"DB_*\", \"API_KEY\"]",
    ),
    (
        "- {include: [\"A[\"]}\n",
        "objects[0].include (line 1, column 14): \"A[\" is not a glob: invalid range pattern at character 2: use *, ? and [ab], or [*] for a * itself",
    ),
    (
        "- {format: json}\n",
        "objects[0] (line 1, column 3): objectName is missing: name the file that format makes, for example \".env\"",
    ),
    (
        "- {template: x}\n",
        "objects[0] (line 1, column 3): objectName is missing: name the file that template makes, for example \"app.conf\"",
    ),
    (
        "- {objectName: DB_PASSWORD}\n",
        "objects[0] (line 1, column 3): objectName \"DB_PASSWORD\" names a file but no secret: add secretKey: \"DB_PASSWORD\" for one key, or format or template for a file of many",
    ),
    (
        "- {field: /a}\n",
        "objects[0] (line 1, column 3): field needs secretKey: name the one key that it is for",
    ),
    (
        "- {objectName: ../x, secretKey: A}\n",
        "objects[0].objectName (line 1, column 16): objectName \"../x\" cannot be a file: its path holds a name that is empty, \".\" or \"..\": choose a relative path such as \"db/password\"",
    ),
    (
        "- {objectName: /x, secretKey: A}\n",
        "objects[0].objectName (line 1, column 16): objectName \"/x\" cannot be a file: its path holds a name that is empty, \".\" or \"..\": choose a relative path such as \"db/password\"",
    ),
    (
        "- {objectName: ..x, secretKey: A}\n",
        "objects[0].objectName (line 1, column 16): objectName \"..x\" cannot be a file: its path begins with \"..\": choose a relative path such as \"db/password\"",
    ),
    (
        "- {secretKey: A/B}\n",
        "objects[0].secretKey (line 1, column 15): secretKey \"A/B\" cannot be a file: its name holds a slash: add objectName",
    ),
    (
        "- {secretKey: A, encoding: base46}\n",
        "objects[0].encoding (line 1, column 28): encoding \"base46\" is not one of \"utf-8\", \"base64\", \"hex\": did you mean \"base64\"?",
    ),
    (
        "- {objectName: f, format: env}\n",
        "objects[0].format (line 1, column 27): format \"env\" is not one of \"dotenv\", \"json\", \"properties\", \"shell\", \"toml\", \"yaml\": did you mean \"dotenv\"?",
    ),
    (
        "- {secretKey: A, optional: yes}\n",
        "objects[0].optional (line 1, column 28): optional \"yes\" is not one of \"true\", \"false\"",
    ),
    (
        "- {recursive: 1}\n",
        "objects[0].recursive (line 1, column 15): recursive \"1\" is not one of \"true\", \"false\"",
    ),
    (
        "- {secretKey: A, filePermission: 420}\n- {secretKey: B, filePermission: 0999}\n",
        "objects[1].filePermission (line 2, column 34): filePermission \"0999\" is not an octal permission from 0001 to 0777: write for example \"0644\"",
    ),
    (
        "- {secretKey: A, field: a}\n",
        "objects[0].field (line 1, column 25): field \"a\": a JSON pointer begins with \"/\", like \"/password\"",
    ),
    (
        "- {secretKey: A, field: /~2}\n",
        "objects[0].field (line 1, column 25): field \"/~2\": \"~\" must be written \"~0\", and a \"/\" in a name \"~1\"",
    ),
    (
        "- objectName: f\n  template: |\n    a\n    {{ b\n",
        "objects[0].template (line 4, column 5): template: unexpected end of input, expected end of variable block: mend the template",
    ),
    (
        "- objectName: f\n  template: |\n    a\n    {{ \"b\n",
        "objects[0].template (line 4, column 5): template: unexpected end of string: mend the template",
    ),
    (
        "- {objectName: f, template: \"{{ A|b64 }}\"}\n",
        "objects[0].template (line 1, column 29): template: line 1: there is no filter \"b64\": did you mean \"b64decode\"?",
    ),
    (
        "- {secretKey: A}\n- {secretKey: B, objectName: A}\n",
        "objects[1] (line 2, column 3): objects[0] and objects[1] would be one file \"A\": give one of them another name by objectName",
    ),
    (
        "- {secretKey: A}\n- {secretKey: B, objectName: A/B}\n",
        "objects[0] (line 1, column 3): file \"A\" of objects[0] would also be a folder, for objects[1]: rename one of them",
    ),
    (
        "- &a [*a]\n",
        "objects (line 1, column 7): an alias leads back to itself: write the value out",
    ),
];

#[test]
fn every_mistake_of_an_entry_has_its_place_and_text() {
    let wrong = OBJECTS.into_iter().filter_map(|(text, said)| {
        let now = only("objects", text);
        (now != said).then(|| format!("{text}\n  now: {now}\n  not: {said}"))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mistake_of_a_processor_has_its_place_and_text() {
    for (text, said) in [
        (
            "- A\n",
            "processors (line 1, column 1): a list stands where a map of keys belongs: write a YAML map such as \"DB_PASSWORD: {asName: password}\"",
        ),
        (
            "A: {}\n---\nB: {}\n",
            "processors (line 1, column 1): more than one document stands where a map of keys belongs: write a YAML map such as \"DB_PASSWORD: {asName: password}\"",
        ),
        (
            "A: {\n",
            "processors (line 1, column 4): not YAML: unclosed bracket '{': mend it there, or a line before",
        ),
        (
            "A: b\n",
            "processors.A (line 1, column 4): a text stands where a map of fields belongs: write a YAML map such as \"DB_PASSWORD: {asName: password}\"",
        ),
        (
            "A: {name: b}\n",
            "processors.A.name (line 1, column 5): unknown field \"name\": did you mean \"asName\"?",
        ),
        (
            "A: {type: hex}\n",
            "processors.A.type (line 1, column 11): type \"hex\" is not one of \"plain\", \"base64\"",
        ),
        (
            "A: {nameTransformer: kebab}\n",
            "processors.A.nameTransformer (line 1, column 22): nameTransformer \"kebab\" is not one of \"camel\", \"upper-camel\", \"lower-snake\", \"tf-var\", \"lower-kebab\", \"upper_snake\": did you mean \"lower-kebab\"?",
        ),
        (
            "A: {asName: a/b}\n",
            "processors.A.asName (line 1, column 13): asName \"a/b\" cannot be a file: its name holds a slash: choose a name such as \"password\"",
        ),
        (
            "A: {}\nA: {}\n",
            "processors (line 2, column 1): A stands here twice: remove one",
        ),
    ] {
        assert_eq!(only("processors", text), said, "{text}");
    }
    assert_eq!(
        only("processors", "\n  A: {type: hex}\n  B: {}\n"),
        "processors.A.type (line 2, column 13): type \"hex\" is not one of \"plain\", \"base64\""
    );
    assert_eq!(
        only("nameTransformer", "snake"),
        "nameTransformer \"snake\" is not one of \"camel\", \"upper-camel\", \"lower-snake\", \"tf-var\", \"lower-kebab\", \"upper_snake\": did you mean \"lower-snake\"?"
    );
}

#[test]
fn every_mistake_in_a_mirror_has_its_text_and_its_place() {
    let list = "stands where a list of Secrets belongs: write a YAML list such as \"- secretName: shop\", or leave mirror out";
    for (text, said) in [
        ("", format!("mirror (line 1, column 1): nothing {list}")),
        ("secretName: a", format!("mirror (line 1, column 1): a map {list}")),
        (
            "- a",
            "mirror[0] (line 1, column 3): a text stands where a map of fields belongs: write fields such as \"secretName: shop\"".to_owned(),
        ),
        (
            "- {secretType: Opaque}",
            "mirror[0] (line 1, column 3): secretName is missing: name the Secret to write".to_owned(),
        ),
        (
            "- {secretName: Shop}",
            "mirror[0].secretName (line 1, column 16): secretName \"Shop\" is no name of a Kubernetes object: use lower-case letters, digits, \"-\" and \".\"".to_owned(),
        ),
        (
            "- {secretName: a, tokenSecretName: a}",
            "mirror[0] (line 1, column 3): secretName \"a\" is the Secret that holds the token: name another".to_owned(),
        ),
        (
            "- {secretName: phase-service-token}",
            "mirror[0] (line 1, column 3): secretName \"phase-service-token\" is the Secret that holds the token: name another".to_owned(),
        ),
        (
            "- {secretName: a}\n- {secretName: a}",
            "mirror[1] (line 2, column 3): a stands here twice: remove one".to_owned(),
        ),
        (
            "- {secretName: a, onConflict: take}",
            "mirror[0].onConflict (line 1, column 31): onConflict \"take\" is not one of \"Report\", \"Take\": did you mean \"Take\"?".to_owned(),
        ),
        (
            "- {secretName: a, secretNamespace: b}",
            "mirror[0].secretNamespace (line 1, column 19): unknown field \"secretNamespace\": remove it".to_owned(),
        ),
        (
            "- {secretName: a, metadata: {labels: [x]}}",
            "mirror[0].metadata.labels (line 1, column 38): a list stands where a map of texts belongs: write for example {team: shop}".to_owned(),
        ),
        (
            "- {secretName: a, metadata: {name: x}}",
            "mirror[0].metadata.name (line 1, column 30): unknown field \"name\": remove it".to_owned(),
        ),
    ] {
        assert_eq!(only("mirror", text), said, "{text}");
    }
    let many: String = (0..101)
        .map(|n| format!("- {{secretName: s{n}}}\n"))
        .collect();
    assert_eq!(
        only("mirror", &many),
        "101 Secrets are more than 100: make two classes"
    );
}

#[test]
fn a_mirror_that_holds_a_token_is_named_and_not_shown() {
    let said = only("mirror", "- {secretName: pss_service:v2:aaaa}");
    assert!(
        said.starts_with("\"mirror\" holds a Phase token") && !said.contains("aaaa"),
        "{said}"
    );
}

#[test]
fn all_mistakes_of_all_entries_come_at_once_in_their_order() {
    let text = "- {secretKey: A, encodng: hex}\n- {objectName: x}\n- {secretKey: B, optional: 1, filePermission: 9}\n";
    let said: Vec<_> = mistakes("objects", text)
        .iter()
        .map(|m| m.place.path.clone())
        .collect();
    assert_eq!(
        said,
        [
            "objects[0].encodng",
            "objects[1]",
            "objects[2].optional",
            "objects[2].filePermission"
        ]
    );
}

#[test]
fn two_thousand_entries_are_read_and_one_more_is_refused() {
    let entries = |count: usize| -> String {
        (0..count)
            .map(|n| format!("- {{secretKey: KEY_{n}, objectName: f{n}}}\n"))
            .collect()
    };
    let hosts = AllowedHosts::new(Host::default(), &[] as &[&str]).unwrap();
    let text = entries(2000);
    let class = Class::read([("phaseApp", "a"), ("objects", text.as_str())], &hosts).unwrap();
    assert_eq!(class.query.selections.len(), 2000);
    assert_eq!(
        only("objects", &entries(2001)),
        "2001 entries are more than 2000: make two classes"
    );
    let templates: String = (0..101)
        .map(|n| format!("- {{objectName: f{n}, template: x}}\n"))
        .collect();
    assert_eq!(
        only("objects", &templates),
        "101 templates are more than 100: make two classes"
    );
}

#[test]
fn a_bomb_of_aliases_is_one_mistake() {
    let mut bomb = String::from("- &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..30 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("- &a{level} [{}]\n", [before.as_str(); 9].join(","));
    }
    let said = only("objects", &bomb);
    assert!(
        said.ends_with(
            ": more than 100000 values, counting what aliases stand for: make it smaller"
        ),
        "{said}"
    );
}

#[test]
fn of_very_many_mistakes_the_first_are_kept() {
    let fields: String = (0..6_000).map(|n| format!("  a{n}: x\n")).collect();
    let mistakes = mistakes("objects", &format!("- secretKey: A\n{fields}"));
    assert_eq!(mistakes.len(), 5_001);
    assert_eq!(
        mistakes[5_000].to_string(),
        "1000 more mistakes: mend the others first"
    );
}

#[test]
fn a_parameter_whose_name_is_a_token_is_told_without_it() {
    let hosts = AllowedHosts::new(Host::default(), &[] as &[&str]).unwrap();
    let token = format!("pss_service:v2:{}", "0123456789abcdef".repeat(4));
    let parameters = [("phaseApp", "a"), (token.as_str(), token.as_str())];
    let mistakes = Class::read(parameters, &hosts).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert_eq!(
        mistakes[0].to_string(),
        "the name \"pss_…\" holds a Phase token: remove it, replace that token in Phase, and name a Secret with nodePublishSecretRef on the pod's volume"
    );
    assert!(!format!("{mistakes:?}").contains("0123"));
}
