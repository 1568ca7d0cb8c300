//! What is tuned: one method's table in `config.toml`.

use super::{
    prior::{Prior, short},
    space,
};
use crate::run::{
    config::Config,
    method::{Base, Deep, MethodName},
};
use anyhow::Context;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// Values of settings by their path below the method's table.
pub type Settings = BTreeMap<String, Value>;

/// One setting that is searched.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its path below the method's table, with points.
    pub path: String,
    /// Range and prior.
    pub prior: Prior,
}

/// A method and what is searched for it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// How it is trained.
    pub method: MethodName,
    /// What is searched.
    pub settings: Vec<Setting>,
    /// The values that the search starts from; a setting that was left unset is absent.
    pub given: Settings,
    /// Path of its table in `config.toml`.
    table: String,
}

impl Subject {
    /// The method of that name; `None` for one that has nothing to set.
    ///
    /// # Errors
    /// When there is no such method, or the table of search spaces lacks it.
    pub fn new(name: &str, config: &Config) -> anyhow::Result<Option<Self>> {
        let method: MethodName = name.parse()?;
        let name = method.settings_name();
        let (table, lines) = match (method.base, method.metric) {
            (_, Some(_)) => (format!("method.{name}"), space::linear(&name)),
            (Base::Deep(Deep::Loss(_)), None) => (format!("method.losses.{name}"), space::deep(space::LOSSES, &name)),
            (Base::Deep(_), None) => (format!("method.{name}"), space::deep(space::DEEP, &name)),
            (_, None) => return Ok(None),
        };
        let lines = lines.with_context(|| format!("no search space is known for {name}"))?;
        if lines.is_empty() {
            return Ok(None);
        }
        let all = Table::try_from(config)?;
        let (mut settings, mut given) = (Vec::new(), Settings::new());
        for (path, prior) in lines {
            let value = get(&all, &format!("{table}.{path}"));
            settings.push(Setting { path: path.to_owned(), prior: prior.resolved(value) });
            if let Some(value) = value {
                given.insert(path.to_owned(), tidy(value));
            }
        }
        Ok(Some(Self { name, method, settings, given, table }))
    }

    /// Everything that `methods` have to set, once each, and the names of those that have nothing to set. A hybrid
    /// `A+B`, `A-then-B` or `A-with-B` has what A and B have.
    ///
    /// # Errors
    /// As [`Subject::new`].
    pub fn all(methods: &[MethodName], config: &Config) -> anyhow::Result<(Vec<Self>, Vec<String>)> {
        let (mut subjects, mut without): (Vec<Self>, Vec<String>) = (Vec::new(), Vec::new());
        for method in methods {
            let parts = method.parts().map(|part| Self::new(&part.to_string(), config));
            let parts: Vec<_> = parts.collect::<Result<_, _>>()?;
            if parts.iter().all(Option::is_none) {
                without.push(method.to_string());
            }
            for subject in parts.into_iter().flatten() {
                if !subjects.iter().any(|known| known.name == subject.name) {
                    subjects.push(subject);
                }
            }
        }
        Ok((subjects, without))
    }

    /// `config` with these settings of the method.
    ///
    /// # Errors
    /// When a path or the kind of a value does not fit.
    pub fn apply(&self, config: &Config, settings: &Settings) -> anyhow::Result<Config> {
        let mut all = Table::try_from(config)?;
        for (path, value) in settings {
            set(&mut all, &format!("{}.{path}", self.table), value.clone())?;
        }
        all.try_into().with_context(|| format!("settings of {}", self.name))
    }
}

fn get<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let mut keys = path.split('.');
    let first = table.get(keys.next()?)?;
    keys.try_fold(first, |value, key| value.get(key))
}

fn set(table: &mut Table, path: &str, value: Value) -> anyhow::Result<()> {
    let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
    let mut at = table;
    for key in parents.split('.').filter(|key| !key.is_empty()) {
        at = at.get_mut(key).and_then(Value::as_table_mut).with_context(|| format!("there is no setting {path}"))?;
    }
    at.insert(last.to_owned(), value);
    Ok(())
}

/// As it is written down: single precision has digits that nobody gave.
fn tidy(value: &Value) -> Value {
    match value {
        Value::Float(number) => Value::Float(short(*number)),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metric::mahalanobis::MahalanobisError;
    use nearfar_core::matrix::Matrix;

    fn names() -> Vec<&'static str> {
        MethodName::listing().map(|(name, _)| name).collect()
    }

    #[test]
    fn every_method_of_the_list_has_its_settings_in_the_file() {
        let config = Config::default();
        let without: Vec<&str> =
            names().into_iter().filter(|name| Subject::new(name, &config).unwrap().is_none()).collect();
        assert_eq!(without, ["pixels", "pca", "untrained", "covariance"]);
        for subject in names().into_iter().filter_map(|name| Subject::new(name, &config).unwrap()) {
            for Setting { path, prior } in &subject.settings {
                // The value that the search starts from has its place, unless it is unset.
                match subject.given.get(path) {
                    Some(value) => assert!(prior.place(value).is_some(), "{}: {path} = {value}, {prior}", subject.name),
                    None => assert_eq!(path, "settings.images_per_class", "{}", subject.name),
                }
                for value in ends(*prior) {
                    let settings = Settings::from([(path.clone(), value.clone())]);
                    let changed = subject.apply(&config, &settings).unwrap();
                    let valid = changed.method.validate(&[subject.method]);
                    assert!(valid.is_ok(), "{}: {path} = {value}: {valid:?}", subject.name);
                    let found = get(&Table::try_from(&changed).unwrap(), &format!("{}.{path}", subject.table)).cloned();
                    assert_eq!(found.as_ref().map(tidy), Some(tidy(&value)), "{}: {path}", subject.name);
                }
            }
        }
    }

    /// The smallest and the largest value; of a choice, every one.
    fn ends(prior: Prior) -> Vec<Value> {
        let (start, end) = prior.axis();
        match prior {
            Prior::Choice(values) => (0..values.len()).map(|place| prior.value(place as f64)).collect(),
            _ => vec![prior.value(start), prior.value(end.next_down())],
        }
    }

    #[test]
    fn learners_take_the_ends_of_their_ranges() {
        let config = Config::default();
        // Three classes of forty rows that overlap a little.
        let rows = Matrix::from_fn(120, 3, |i, j| ((i * 7 + j * 13) % 23) as f32 / 10.0 + (i % 3 * (j + 1)) as f32);
        let labels: Vec<usize> = (0..120).map(|i| i % 3).collect();
        let linear = names().into_iter().filter_map(|name| Subject::new(name, &config).unwrap());
        for subject in linear.filter(|subject| subject.method.metric.is_some()) {
            for Setting { path, prior } in &subject.settings {
                for value in ends(*prior) {
                    let settings = Settings::from([(path.clone(), value.clone())]);
                    let changed = subject.apply(&config, &settings).unwrap().method;
                    let fitted = changed.learner(subject.method.metric.unwrap()).fit(&rows, &labels);
                    let refused = matches!(fitted, Err(MahalanobisError::InvalidSetting { .. }));
                    assert!(!refused, "{}: {path} = {value}", subject.name);
                }
            }
        }
    }

    #[test]
    fn methods_that_share_settings_are_tuned_once() {
        let config = Config::default();
        let methods = MethodName::parse_list("all,lmnn,nca,untrained+scml,multi_similarity").unwrap();
        let (subjects, without) = Subject::all(&methods, &config).unwrap();
        let names: Vec<String> = subjects.into_iter().map(|subject| subject.name).collect();
        let expected = "supervised,lmnn,siamese,triplet,supcon,simclr,moco,byol,simsiam,nca,scml,multi_similarity";
        assert_eq!(names.join(","), expected);
        assert_eq!(without, ["pixels", "pca", "untrained"]);
    }

    #[test]
    fn a_setting_changes_alone() {
        let config = Config::default();
        let subject = Subject::new("triplet", &config).unwrap().unwrap();
        let settings = Settings::from([
            ("settings.mining".to_owned(), Value::String("batch_hard".into())),
            ("optimizer.learning_rate".to_owned(), Value::Float(0.01)),
        ]);
        let changed = subject.apply(&config, &settings).unwrap();
        assert_eq!(changed.method.triplet.optimizer.learning_rate, 0.01);
        assert_ne!(changed.method.triplet.settings.mining, config.method.triplet.settings.mining);
        assert_eq!(changed.method.triplet.settings.loss, config.method.triplet.settings.loss);
        let triplet = config.method.triplet.clone();
        let back = Config { method: crate::run::method::MethodSettings { triplet, ..changed.method }, ..changed };
        assert_eq!(back, config);
        assert!(subject.apply(&config, &Settings::from([("settings.minig".into(), Value::Boolean(true))])).is_err());
        assert!(subject.apply(&config, &Settings::from([("setings.x".into(), Value::Boolean(true))])).is_err());
    }
}
