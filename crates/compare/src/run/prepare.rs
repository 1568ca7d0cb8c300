//! The data of a run: parts, classes, labels, views. Fixed by the settings and the seed of the splits, so that every
//! method and every seed sees the same images.

use super::{
    classes::Classes,
    config::Config,
    datasets_root,
    method::MethodName,
    score,
    supervision::{Constraints, Supervision, Unsaid},
    told::{self, Told},
};
use anyhow::{Context, ensure};
use nearfar_core::{
    augment::{Augmenter, Normalization, Recipe},
    data::{DataError, Dataset, Inputs, Shape, catalog, digest, false_labels, listed, split},
    encoder::EncoderConfig,
};

/// Share of the images that become the test part where the data have none.
const TEST_SHARE: f64 = 0.2;
/// Share of the training images that become the validation part, and the most of them.
const VALIDATION_SHARE: f64 = 0.1;
const MOST_VALIDATION: usize = 2_000;
/// Most training images of the unseen classes and of another data set that probes are fitted on.
const MOST_PROBE_IMAGES: usize = 6_000;

/// Three parts that never overlap.
pub struct Parts {
    /// To fit probes on.
    pub train: Dataset,
    /// To choose their regulariser on.
    pub validation: Dataset,
    /// To score on.
    pub test: Dataset,
}

impl Parts {
    /// The classes of the three.
    pub fn labels(&self) -> Result<[&[usize]; 3], DataError> {
        let Self { train, validation, test } = self;
        Ok([train.labels_for("scoring")?, validation.labels_for("scoring")?, test.labels_for("scoring")?])
    }
}

/// Items of a part whose labels may be used, with those labels, of which some may be false.
pub struct Given {
    /// Places in the part, rising.
    pub items: Vec<usize>,
    /// One label each.
    pub labels: Vec<usize>,
}

impl Given {
    /// The share of the labels of `part` that the settings give, and of these the share that they make false.
    fn new(part: &Dataset, config: &Config, seed: u64) -> anyhow::Result<Self> {
        let items = split::fraction(part, config.labels, seed)?.0;
        let all = part.labels_for("the share of labels given")?;
        let labels: Vec<usize> = items.iter().map(|&item| all[item]).collect();
        let labels = false_labels(&labels, part.class_names.len(), config.label_noise, seed)?;
        Ok(Self { items, labels })
    }

    /// The part with nothing but these items and labels.
    fn of(&self, part: &Dataset) -> Dataset {
        Dataset { labels: Some(self.labels.clone()), ..part.select(&self.items) }
    }
}

/// The settings that the labels given depend on.
#[derive(PartialEq)]
struct Asked {
    labels: f64,
    label_noise: f64,
    seed: u64,
    supervision: Supervision,
    constraints: Option<Constraints>,
    unsaid: Unsaid,
}

impl Asked {
    fn by(config: &Config) -> Self {
        let Config { labels, label_noise, supervision, unsaid, .. } = *config;
        let seed = config.split_seed();
        Self { labels, label_noise, seed, supervision, constraints: config.constraints.clone(), unsaid }
    }
}

/// Where the images of `seen.train` stood in the data as they came.
struct Source {
    /// The row of each.
    rows: Vec<usize>,
    /// Rows in all.
    all: usize,
}

impl Source {
    /// What methods are told about the labelled images in place of their labels, if so.
    fn told(&self, config: &Config, given: &Given, labelled: &Dataset) -> anyhow::Result<Option<Told>> {
        let rows: Vec<usize> = given.items.iter().map(|&item| self.rows[item]).collect();
        Told::new(config, labelled, &rows, self.all)
    }

    /// The labels that the settings give in the training and the validation part, the training images that have them,
    /// and what methods are told about those.
    fn given(&self, config: &Config, seen: &Parts) -> anyhow::Result<(Given, Given, Dataset, Option<Told>)> {
        let seed = config.split_seed();
        let train = Given::new(&seen.train, config, seed.wrapping_add(3))?;
        let validation = Given::new(&seen.validation, config, seed.wrapping_add(4))?;
        let labelled = train.of(&seen.train);
        let told = self.told(config, &train, &labelled)?;
        Ok((train, validation, labelled, told))
    }
}

/// Everything that methods train and are scored on.
pub struct Prepared {
    /// Name for reports.
    pub name: String,
    /// Classes of the whole data set.
    pub classes: Vec<String>,
    /// Names of the classes never trained on.
    pub unseen_names: Vec<String>,
    /// Seen classes: `train` is what methods train on.
    pub seen: Parts,
    /// The labels of `seen.train` that methods and probes may use.
    pub given: Given,
    /// The same of `seen.validation`.
    pub given_validation: Given,
    /// The part of `seen.train` with those labels.
    pub labelled: Dataset,
    /// What methods are told about them in place of their labels, if so.
    pub told: Option<Told>,
    /// What the last four were drawn for.
    asked: Asked,
    source: Source,
    /// Classes never trained on, if any.
    pub unseen: Option<Parts>,
    /// Another data set, with its name.
    pub other: Option<(String, Parts)>,
    /// What the encoder sees.
    pub shape: Shape,
    /// The encoder.
    pub encoder: EncoderConfig,
    /// Views and normalisation; the seed of views is the run's.
    pub views: [Recipe; 2],
    /// Of the training images.
    pub normalization: Normalization,
    /// What a person should know about the data, for the report.
    pub notes: Vec<String>,
}

impl Prepared {
    /// Loads and splits the data of a run.
    pub fn new(config: &Config, methods: &[MethodName]) -> anyhow::Result<Self> {
        let label_column = Some(config.label_column.clone()).filter(|c| !c.is_empty());
        let group_column = Some(config.group_column.clone()).filter(|c| !c.is_empty());
        let options = catalog::Options { label_column, group_column, side: config.image_size, shape: None };
        let source = catalog::open(&config.dataset, &datasets_root(), &options)?;
        let (name, classes) = (source.train.name.clone(), source.train.class_names.clone());
        if source.train.labels.is_none() {
            let needing =
                methods.iter().find(|m| m.needs_labels()).map_or_else(|| "scoring".to_owned(), ToString::to_string);
            source.train.labels_for(&needing)?;
        }
        let mut notes = source.notes;
        let seed = config.split_seed();
        // The number of every row goes where its row goes.
        let (rows_given, mut numbers) = (source.train.len(), told::numbered(&source.train));
        let (train, test) = match source.test {
            Some(test) => (source.train, test),
            None => {
                numbers = hold_out(&numbers, TEST_SHARE, usize::MAX, seed).0;
                hold_out(&source.train, TEST_SHARE, usize::MAX, seed)
            }
        };
        let (train, validation) = match source.validation {
            Some(validation) => (train, validation),
            None => {
                let seed = seed.wrapping_add(1);
                numbers = hold_out(&numbers, VALIDATION_SHARE, MOST_VALIDATION, seed).0;
                hold_out(&train, VALIDATION_SHARE, MOST_VALIDATION, seed)
            }
        };
        let Classes { seen, unseen, left_out } = Classes::of(config, &train, &test)?;
        if !left_out.is_empty() {
            let names: Vec<String> = left_out.iter().map(|&class| classes[class].clone()).collect();
            notes.push(format!("left out, as they have nothing to train on: {}", listed(&names)));
        }
        let chosen = |train: &Dataset, keep: &[usize], most: usize| -> Result<Dataset, DataError> {
            let train = train.keep_classes(keep)?;
            let chosen = split::subset(&train, most.min(train.len()), seed.wrapping_add(2)).0;
            Ok(train.select(&chosen))
        };
        let parts = |keep: &[usize], most: usize| -> Result<Parts, DataError> {
            Ok(Parts {
                train: chosen(&train, keep, most)?,
                validation: validation.keep_classes(keep)?,
                test: test.keep_classes(keep)?,
            })
        };
        let most = if config.images == 0 { usize::MAX } else { config.images };
        let seen_parts = parts(&seen, most)?;
        let rows = chosen(&numbers, &seen, most)?.groups.unwrap_or_default();
        let source = Source { rows, all: rows_given };
        let (given, given_validation, labelled, told) = source.given(config, &seen_parts)?;
        // A small budget is small everywhere: probes elsewhere get no more images than methods train on.
        let unseen_parts = if unseen.len() >= 2 { Some(parts(&unseen, MOST_PROBE_IMAGES.min(most))?) } else { None };
        let shape = seen_parts.train.shape();
        let rows = matches!(seen_parts.train.inputs, Inputs::Rows(_));
        let other = if rows { None } else { other_data(&name, shape, seed).context("the other data set")? };
        if config.unseen_classes.is_none() && unseen_parts.is_none() {
            notes.push(format!(
                "of {} classes none is left unseen (3 in 10 are, where five have two items each to train and to test on): nothing \
                 is scored on unseen classes",
                classes.len()
            ));
        }
        notes.extend(score::no_episodes("seen", &seen_parts.test));
        notes.extend(unseen_parts.as_ref().and_then(|parts| score::no_episodes("unseen", &parts.test)));
        Ok(Self {
            notes: notes.iter().map(|note| format!("{name}: {note}")).collect(),
            normalization: Normalization::of(&seen_parts.train.inputs),
            unseen_names: unseen.iter().map(|&c| classes[c].clone()).collect(),
            views: config.views.clone().unwrap_or_else(|| default_views(rows)),
            encoder: config.encoder.suited_to(&seen_parts.train.inputs),
            name,
            classes,
            given,
            given_validation,
            labelled,
            told,
            asked: Asked::by(config),
            source,
            unseen: unseen_parts,
            seen: seen_parts,
            other,
            shape,
        })
    }

    /// Goes over to the labels and the encoder of a row's settings; everything else is the same for all rows of a run.
    pub fn adopt(&mut self, config: &Config) -> anyhow::Result<()> {
        self.encoder = config.encoder.suited_to(&self.seen.train.inputs);
        let asked = Asked::by(config);
        if asked != self.asked {
            (self.given, self.given_validation, self.labelled, self.told) = self.source.given(config, &self.seen)?;
            self.asked = asked;
        }
        Ok(())
    }

    /// Stands for all items, labels and splits.
    pub fn digest(&self) -> String {
        let parts = [Some(&self.seen), self.unseen.as_ref()].into_iter().flatten();
        digest(parts.flat_map(|parts| [&parts.train, &parts.validation, &parts.test]))
    }

    /// An error if a batch of this size asks for more items than there are to train on.
    pub fn check_batch(&self, batch: usize) -> anyhow::Result<()> {
        let count = self.seen.train.len();
        let items = if matches!(self.seen.train.inputs, Inputs::Rows(_)) { "rows" } else { "images" };
        ensure!(count >= 2, "{count} {items} to train on, and 2 are needed at least: add {items} to the classes");
        ensure!(batch <= count, "a batch of {batch} is larger than the {count} {items} to train on: lower --batch");
        Ok(())
    }

    /// The share of the training labels that is given where `asked` is asked for. Every class keeps a label at least, and
    /// none has a part of one: where that moves the share by more than a tenth, it counts as what it is.
    pub fn share(&self, asked: f64) -> Result<f64, DataError> {
        let given = split::fraction(&self.seen.train, asked, 0)?.0.len() as f64 / self.seen.train.len() as f64;
        // Few digits come back from JSON as they were.
        Ok(if (given / asked - 1.0).abs() > 0.1 { (given * 1e6).round() / 1e6 } else { asked })
    }

    /// The views of a run with `seed`.
    pub fn augmenter(&self, seed: u64) -> anyhow::Result<Augmenter> {
        let augmenter = Augmenter::new(&self.views, self.normalization.clone(), seed)?;
        augmenter.check(&self.seen.train.inputs)?;
        Ok(augmenter)
    }
}

/// The same views for every method: the peers' for images; for rows the row and its corruption (SCARF).
fn default_views(rows: bool) -> [Recipe; 2] {
    if rows { [Recipe::none(), Recipe::rows()] } else { [Recipe::peers(), Recipe::peers()] }
}

fn hold_out(data: &Dataset, share: f64, most: usize, seed: u64) -> (Dataset, Dataset) {
    let count = ((data.len() as f64 * share).round() as usize).clamp(1, most);
    let (held, kept) = split::subset(data, count, seed);
    (data.select(&kept), data.select(&held))
}

/// The digits for every image data set but themselves, for which it is Fashion-MNIST.
fn other_data(name: &str, shape: Shape, seed: u64) -> anyhow::Result<Option<(String, Parts)>> {
    let other = if name == "digits" { "fashion_mnist" } else { "digits" };
    let source = catalog::open(other, &datasets_root(), &catalog::Options::default())?;
    let (train, test) = match source.test {
        Some(test) => (source.train, test),
        None => hold_out(&source.train, 0.5, usize::MAX, seed),
    };
    let chosen = split::subset(&train, MOST_PROBE_IMAGES.min(train.len()), seed).0;
    let (train, validation) = hold_out(&train.select(&chosen), 0.2, MOST_VALIDATION, seed);
    let parts =
        Parts { train: train.resized(shape)?, validation: validation.resized(shape)?, test: test.resized(shape)? };
    Ok(Some((other.to_owned(), parts)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::config::UnseenClasses;
    use metric::weak::Weak;
    use nearfar_core::data::catalog::{Options, open};

    #[test]
    fn constraints_of_a_file_find_their_rows() {
        let source = open("iris", &datasets_root(), &Options::default()).unwrap().train;
        let labels = source.labels.clone().unwrap();
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        let same = |i: usize| if labels[i] == labels[i + 1] { 1 } else { 0 };
        let lines: String = (0..source.len() - 1).map(|i| format!("{i},{},{}\n", i + 1, same(i))).collect();
        std::fs::write(file.path(), format!("a,b,same\n{lines}")).unwrap();
        let config = Config {
            dataset: "iris".into(),
            batch: Some(16),
            labels: 0.9,
            supervision: Supervision::Pairs,
            constraints: Some(Constraints::File(file.path().into())),
            ..Config::default()
        };
        let data = Prepared::new(&config, &[]).unwrap();
        let told = data.told.unwrap();
        let Weak::Pairs(pairs) = &told.weak else { panic!("{:?}", told.weak) };
        assert!(told.count > 40 && told.count < source.len() - 1, "{}", told.note);
        let (from, to) = (source.features(), data.labelled.features());
        let seen = data.labelled.labels.unwrap();
        let mut next = 0;
        for (&[a, b], &same) in pairs.pairs.iter().zip(&pairs.same) {
            let stands = |i: &usize| from.row(*i) == to.row(a) && from.row(i + 1) == to.row(b);
            next = 1 + (next..source.len() - 1).find(stands).expect("pairs come in the order of the file");
            assert_eq!(same, seen[a] == seen[b]);
        }
    }

    #[test]
    fn what_was_done_to_photos_is_noted() {
        let dir = tempfile::tempdir().unwrap();
        let photos = dir.path().join("photos");
        for class in ["a", "b"] {
            std::fs::create_dir_all(photos.join(class)).unwrap();
            for number in 0..12u8 {
                let file = photos.join(class).join(format!("{number}.pgm"));
                std::fs::write(file, [&b"P5\n128 64\n255\n"[..], &[number * 20; 128 * 64]].concat()).unwrap();
            }
        }
        std::fs::write(photos.join("a/notes.txt"), "no image").unwrap();
        let config = Config { dataset: photos.display().to_string(), batch: Some(4), ..Config::default() };
        let notes = Prepared::new(&config, &[]).unwrap().notes;
        let scaled = "photos: 24 of 24 images were scaled to 64x32 pixels (width x height) from 128x64; --image-size asks \
                      for another size";
        assert_eq!(notes[..2], [scaled, "photos: files left out, as they are not named as images: 1 .txt"]);
        assert!(notes[2].contains("of 2 classes none is left unseen"), "{notes:?}");
        assert!(notes[3].starts_with("photos: no `transfer.seen.few_shot_1`, `transfer.seen.few_shot_5`: class `"));
        assert_eq!(notes.len(), 4, "{notes:?}");
    }

    /// A mistyped label makes a class of one row.
    #[test]
    fn a_class_of_one_item_spoils_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("t.csv");
        let row = |i: usize| format!("{}.5,{},{}\n", i % 7, i, ["a", "b", "c", "d", "e"][i % 5]);
        let rows: String = (0..150).map(row).collect();
        std::fs::write(&table, format!("x,y,kind\n{rows}1.0,2.0,typo\n")).unwrap();
        let mut left_out = 0;
        for seed in 0..8 {
            let config = Config { dataset: table.display().to_string(), seed, ..Config::default() };
            let data = Prepared::new(&config, &[]).unwrap();
            assert_eq!(data.unseen_names.len(), 2);
            assert!(!data.unseen_names.contains(&"typo".to_owned()));
            let [train, validation, test] = data.seen.labels().unwrap();
            assert!(validation.iter().chain(test).all(|class| train.contains(class)));
            let note = data.notes.iter().any(|note| note.contains("they have nothing to train on: typo"));
            assert_eq!(note, !data.seen.train.class_names.contains(&"typo".to_owned()));
            left_out += usize::from(note);
        }
        assert!(left_out < 8, "in some splits it is trained on");
    }

    #[test]
    fn the_seed_of_the_splits_alone_moves_them() {
        let prepared = |seed, split_seed| {
            let config = Config { dataset: "digits".into(), seed, split_seed, labels: 0.1, ..Config::default() };
            let data = Prepared::new(&config, &[]).unwrap();
            (data.unseen_names, data.labelled, data.seen.test, data.unseen.unwrap().train)
        };
        let usual = prepared(0, None);
        assert!(prepared(100, Some(0)) == usual);
        let other = prepared(100, None);
        assert!(other == prepared(0, Some(100)) && other.1 != usual.1);
    }

    #[test]
    fn a_share_of_labels_is_the_one_that_is_given() {
        let config = Config { dataset: "iris".into(), ..Config::default() };
        let data = Prepared::new(&config, &[]).unwrap();
        assert!(data.notes[0].contains("iris: of 3 classes none is left unseen"), "{:?}", data.notes);
        let count = data.seen.train.len();
        let share = data.share(0.000_1).unwrap();
        assert!((share * count as f64 - 3.0).abs() < 1e-3, "one label a class: {share}");
        assert_eq!(serde_json::from_str::<f64>(&serde_json::to_string(&share).unwrap()).unwrap(), share);
        assert_eq!((data.share(0.5).unwrap(), data.share(1.0).unwrap()), (0.5, 1.0));
        assert!(data.share(0.0).is_err());
    }

    #[test]
    fn one_unseen_class_is_refused_by_number_and_by_name() {
        let refused = |unseen| {
            let config = Config { dataset: "digits".into(), unseen_classes: Some(unseen), ..Config::default() };
            Prepared::new(&config, &[]).err().expect("refused").to_string()
        };
        let names = |names: &[&str]| UnseenClasses::Names(names.iter().map(ToString::to_string).collect());
        for unseen in [UnseenClasses::Count(1), names(&["3"]), names(&["3", "3"])] {
            assert!(refused(unseen).contains("at least 2 of them"));
        }
    }

    #[test]
    fn labels_are_drawn_anew_only_when_others_are_asked_for() {
        let all = Config { dataset: "iris".into(), batch: Some(16), ..Config::default() };
        let mut data = Prepared::new(&all, &[]).unwrap();
        let place = |data: &Prepared| data.labelled.labels.as_ref().map(|labels| labels.as_ptr());
        let drawn = place(&data);
        let mut wide = Config { batch: Some(8), ..all.clone() };
        wide.encoder.width = 16;
        data.adopt(&wide).unwrap();
        assert_eq!((place(&data), data.encoder.width), (drawn, 16));

        for other in [Config { labels: 0.5, ..all.clone() }, Config { label_noise: 0.3, ..all.clone() }, all] {
            data.adopt(&other).unwrap();
            let anew = Prepared::new(&other, &[]).unwrap();
            assert_eq!(data.labelled, anew.labelled);
            assert_eq!((&data.given.items, &data.given.labels), (&anew.given.items, &anew.given.labels));
            assert_eq!(data.given_validation.labels, anew.given_validation.labels);
            assert_eq!(data.encoder, anew.encoder);
        }
    }
}
