//! `compare embed`: features of other data by an encoder that a run has trained.

use super::{
    datasets_root,
    encoder_file::Model,
    vectors::{self, Format, Vectors},
};
use crate::{
    cli::{EmbedArgs, EncoderArgs},
    failure::{Failure, failed, usage},
    report,
};
use anyhow::anyhow;
use nearfar_core::{backend::Backend, data::Items, matrix::Matrix};
use nearfar_eval::Distance;
use std::path::Path;

/// `compare embed`.
pub fn embed(args: &EmbedArgs) -> Result<(), Failure> {
    let format = Format::of(&args.out).map_err(usage)?;
    let encoder = Encoder::open(&args.encoder)?;
    check_writable(&args.out)?;
    let (items, features) = encoder.embed(&args.input)?;
    let about = serde_json::to_string(&encoder.model.about).map_err(failed)?;
    let vectors = Vectors { names: &items.names, labels: &items.labels, features: &features };
    let files = vectors::write(vectors, &about, &args.out, format).map_err(failed)?;
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    say!("{} x {} features of {} by {}", features.rows(), features.cols(), args.input, encoder.describe());
    say!("{}", files.join("\n"));
    Ok(())
}

/// Makes the folder of a file to be written, if it is not there, and proves that files can be made in it: before the
/// work, not after.
pub(super) fn check_writable(file: &Path) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    report::check_writable(folder).map_err(usage)
}

/// An encoder from a file, as the arguments ask for it.
pub(super) struct Encoder<'a> {
    pub(super) model: Model,
    args: &'a EncoderArgs,
}

impl<'a> Encoder<'a> {
    /// Reads the file onto the backend.
    pub(super) fn open(args: &'a EncoderArgs) -> Result<Self, Failure> {
        if args.batch == 0 {
            return Err(usage(anyhow!("--batch must be at least 1, got 0")));
        }
        let backend: Backend = args.backend.parse().map_err(usage)?;
        let (_, device) = backend.open().map_err(usage)?;
        Ok(Self { model: Model::read(&args.checkpoint, &device).map_err(usage)?, args })
    }

    /// The items at `source` with their features, all finite.
    pub(super) fn embed(&self, source: &str) -> Result<(Items, Matrix), Failure> {
        let kind = self.model.about.input;
        let items = Items::open(source, &datasets_root(), kind, self.args.label_column.as_deref()).map_err(usage)?;
        if items.resized > 0 {
            let (some, all) = (items.resized, items.names.len());
            tell!("note: {some} of {all} images of {source} were changed to {kind}, what the encoder takes");
        }
        if items.left_out > 0 {
            tell!("note: files of {source} left out, as they are not named as images: {}", items.left_out);
        }
        let features = self.model.embed(&items.data, self.args.batch).map_err(failed)?;
        if let Some(row) = features.iter_rows().position(|row| row.iter().any(|value| !value.is_finite())) {
            return Err(failed(anyhow!("a feature of {} is not finite: is the encoder damaged?", items.names[row])));
        }
        Ok((items, features))
    }

    /// The method, what it was trained on, and how its features are compared.
    pub(super) fn describe(&self) -> String {
        let about = &self.model.about;
        format!(
            "{} (seed {}, trained on {}), compared by {}",
            about.method,
            about.seed,
            about.dataset,
            measure(about.distance)
        )
    }
}

/// What two features are compared by.
pub(super) fn measure(distance: Distance) -> &'static str {
    match distance {
        Distance::Cosine => "cosine similarity",
        Distance::Euclidean => "the distance learnt",
    }
}
