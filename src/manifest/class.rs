//! A SecretProviderClass as it is written.

use super::{Manifest, Scalar, scalar, value};
use crate::class::{Mistake, Problem};
use crate::yaml::{Data, Field, Node, Place, Style};

/// The group of the driver's resources.
pub const API_GROUP: &str = "secrets-store.csi.x-k8s.io";
/// The kind of a class.
pub const CLASS_KIND: &str = "SecretProviderClass";

/// A SecretProviderClass as it is written; nothing of it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderClass {
    /// Its name, or nothing.
    pub name: String,
    /// Its namespace, when it is written.
    pub namespace: Option<String>,
    /// Where its name stands, or else where it begins.
    pub at: Place,
    /// What `spec.provider` holds.
    pub provider: Option<Node>,
    /// What `spec.parameters` holds, in order.
    pub parameters: Vec<Parameter>,
    /// What `spec.secretObjects` holds.
    pub secret_objects: Option<Node>,
    /// The whole manifest.
    pub manifest: Manifest,
}

/// One parameter of a class as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub name_at: Place,
    /// Its text; empty for a list or a map.
    pub text: String,
    /// Its value.
    pub node: Node,
}

impl ProviderClass {
    /// The class that a manifest is, if it is one by its kind.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Option<Self> {
        if manifest.kind != CLASS_KIND {
            return None;
        }
        let spec = |key| value(&manifest.node, &["spec", key]);
        let parameters = spec("parameters").and_then(Node::map).unwrap_or_default();
        Some(Self {
            name: manifest.name.clone(),
            namespace: manifest.namespace.clone(),
            at: manifest.at(),
            provider: spec("provider").cloned(),
            parameters: parameters.iter().map(Parameter::of).collect(),
            secret_objects: spec("secretObjects").cloned(),
            manifest: manifest.clone(),
        })
    }

    /// Whether it is ours: `spec.provider` is `phase`.
    #[must_use]
    pub fn is_phase(&self) -> bool {
        self.provider.as_ref().and_then(Node::text) == Some("phase")
    }

    /// Names and texts for the reader of classes; lists and maps are left out.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let texts = self.parameters.iter().filter(|parameter| {
            !matches!(
                parameter.written(),
                Scalar::List | Scalar::Map | Scalar::Nothing
            )
        });
        texts.map(|parameter| (parameter.name.as_str(), parameter.text.as_str()))
    }

    /// The parameter of a name; of several, the last, as kubectl takes it.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().rfind(|known| known.name == name)
    }

    /// Where its parameters stand, or else its name.
    #[must_use]
    pub fn parameters_at(&self) -> Place {
        let parameters = self.manifest.node.get("spec");
        let parameters = parameters.and_then(|spec| spec.map());
        let fields = parameters.unwrap_or_default();
        let field = fields.iter().find(|field| field.key == "parameters");
        field.map_or(self.at, |field| field.at)
    }

    /// Where in the file a mistake of the class stands: in its parameter's text, at
    /// an unknown parameter's name, or where a missing parameter belongs.
    #[must_use]
    pub fn place_of(&self, mistake: &Mistake) -> Place {
        let Some(parameter) = self.parameter(&mistake.place.parameter) else {
            return self.parameters_at();
        };
        match (mistake.place.at, &mistake.problem) {
            (Some(inside), _) => place_in_file(parameter, inside),
            (None, Problem::Unknown { .. }) => parameter.name_at,
            (None, _) => parameter.node.at,
        }
    }

    /// The namespace it lands in when nothing else says which.
    #[must_use]
    pub fn namespace_or_default(&self) -> &str {
        self.manifest.namespace_or_default()
    }
}

impl Parameter {
    fn of(field: &Field) -> Self {
        Self {
            name: field.key.clone(),
            name_at: field.at,
            text: field.value.text().unwrap_or_default().to_owned(),
            node: field.value.clone(),
        }
    }

    /// What the API server takes it for; anything but a text is refused there.
    #[must_use]
    pub fn written(&self) -> Scalar {
        scalar(&self.node)
    }
}

/// The place in the file of a place in a parameter's text.
///
/// Exact in a block after `|` and in a text of one line without escapes; else
/// where the value begins.
#[must_use]
pub fn place_in_file(parameter: &Parameter, inside: Place) -> Place {
    let begin = match &parameter.node.data {
        Data::Text { style, .. } => match style {
            Style::Literal { from } => *from,
            Style::Quoted => Place {
                column: parameter.node.at.column + 1,
                ..parameter.node.at
            },
            Style::Plain => parameter.node.at,
        },
        _ => return parameter.node.at,
    };
    let literal = matches!(
        parameter.node.data,
        Data::Text {
            style: Style::Literal { .. },
            ..
        }
    );
    if !literal && inside.line > 1 {
        return parameter.node.at;
    }
    Place {
        line: begin.line + inside.line.saturating_sub(1),
        column: begin.column + inside.column.saturating_sub(1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::*;

    const CLASS: &str = "\
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: keys, namespace: shop}
spec:
  provider: phase
  parameters:
    phaseApp: \"payments\"
    recursive: true
    list: [a]
    objects: |
      - secretKey: A
        encoding: hexx
";

    fn class() -> ProviderClass {
        let file = File::parse("x.yaml", CLASS).expect("is YAML");
        file.classes().remove(0)
    }

    #[test]
    fn a_class_is_read_as_it_is_written() {
        let class = class();
        assert_eq!((class.name.as_str(), class.is_phase()), ("keys", true));
        assert_eq!(class.namespace_or_default(), "shop");
        let names: Vec<_> = class.pairs().map(|(name, _)| name).collect();
        assert_eq!(names, ["phaseApp", "recursive", "objects"]);
        let written: Vec<_> = class.parameters.iter().map(Parameter::written).collect();
        assert_eq!(
            written,
            [Scalar::Text, Scalar::Switch, Scalar::List, Scalar::Text]
        );
    }

    #[test]
    fn a_place_inside_a_block_is_a_place_in_the_file() {
        let class = class();
        let place = |name, line, column| {
            let parameter = class.parameter(name).expect("there");
            place_in_file(parameter, Place { line, column })
        };
        let line = |place: Place| CLASS.lines().nth(place.line - 1).expect("a line");
        let inside = place("objects", 2, 13);
        assert_eq!(&line(inside)[inside.column - 1..], "hexx");
        let quoted = place("phaseApp", 1, 1);
        assert!(line(quoted)[quoted.column - 1..].starts_with("payments"));
        assert_eq!(place("phaseApp", 2, 5), class.parameters[0].node.at);
    }
}
