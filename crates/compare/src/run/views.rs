//! The views of a run as settings give them: two recipes, or the name of a pair.

use nearfar_core::augment::{NamedViews, Recipe};
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use std::fmt;

/// Reads `views = "byol_cifar"` or a list of two recipes. What is written back is always the recipes, so that a
/// `config.toml` says what was done even if a name should come to mean something else.
pub fn named_or_written<'de, D: Deserializer<'de>>(settings: D) -> Result<Option<[Recipe; 2]>, D::Error> {
    settings.deserialize_any(NamedOrWritten)
}

struct NamedOrWritten;

impl<'de> Visitor<'de> for NamedOrWritten {
    type Value = Option<[Recipe; 2]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two recipes or the name of a pair (`compare list` has the names)")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        NamedViews::find(name).map(|views| Some(views.recipes())).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, recipes: A) -> Result<Self::Value, A::Error> {
        <[Recipe; 2]>::deserialize(SeqAccessDeserializer::new(recipes)).map(Some)
    }

    /// What JSON writes for views that are left out.
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Config;
    use nearfar_core::augment::{NamedViews, Recipe};
    use std::path::Path;

    fn views(text: &str) -> Result<Option<[Recipe; 2]>, String> {
        Config::parse(text).map(|config| config.views).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_name_stands_for_its_recipes() {
        let byol = NamedViews::find("byol_imagenet").unwrap().recipes();
        assert_eq!(views("views = \"byol_imagenet\""), Ok(Some(byol.clone())));
        let written = toml::to_string(&Config { views: Some(byol.clone()), ..Config::default() }).unwrap();
        assert_eq!(views(&written), Ok(Some(byol)));
        assert_eq!(
            views("views = [{ flip = 0.5 }, {}]"),
            Ok(Some([Recipe { flip: 0.5, ..Recipe::none() }, Recipe::none()]))
        );
        assert_eq!(views(""), Ok(None));
    }

    #[test]
    fn other_views_are_refused_with_the_reason() {
        let message = views("views = \"byol\"").unwrap_err();
        assert!(message.contains("unknown views `byol`, did you mean `byol_cifar`?"), "{message}");
        let message = views("views = 3").unwrap_err();
        assert!(message.contains("two recipes or the name of a pair"), "{message}");
        let message = views("views = [{ flipp = 0.5 }, {}]").unwrap_err();
        assert!(message.contains("flipp"), "{message}");
        assert!(views("views = [{}]").is_err(), "one recipe is too few");
    }

    /// Names and the experiments of the same source must not drift apart.
    #[test]
    fn names_agree_with_the_experiments_that_ship() {
        let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../experiments"));
        let pairs = [
            ("moco_cifar", "moco-cifar-demo"),
            ("byol_cifar", "solo-learn-byol"),
            ("swav_cifar", "lightly-swav"),
            ("dino_cifar", "lightly-dino"),
            ("barlow_twins_cifar", "solo-learn-barlow-twins"),
            ("vicreg_cifar", "solo-learn-vicreg"),
        ];
        for (name, file) in pairs {
            let text = std::fs::read_to_string(dir.join(file).with_extension("toml")).unwrap();
            assert_eq!(views(&text), Ok(Some(NamedViews::find(name).unwrap().recipes())), "{name}");
        }
    }
}
