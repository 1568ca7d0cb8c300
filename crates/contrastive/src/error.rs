use nearfar_core::augment::SmallCrops;
use thiserror::Error;

/// A setting outside its range.
#[derive(Debug, Error, PartialEq)]
#[error("`{name}` must be {range}, got {value}")]
pub struct ContrastiveError {
    /// The field.
    pub name: &'static str,
    /// Allowed values.
    pub range: &'static str,
    /// What was given.
    pub value: f64,
}

/// An error unless `ok`.
pub(crate) fn check(ok: bool, name: &'static str, range: &'static str, value: f64) -> Result<(), ContrastiveError> {
    if ok { Ok(()) } else { Err(ContrastiveError { name, range, value }) }
}

/// A temperature's range.
pub(crate) fn check_temperature(t: f64) -> Result<(), ContrastiveError> {
    check_positive("temperature", t)
}

/// A momentum's range.
pub(crate) fn check_momentum(name: &'static str, m: f64) -> Result<(), ContrastiveError> {
    check((0.0..=1.0).contains(&m), name, "in [0, 1]", m)
}

/// A layer size's range.
pub(crate) fn check_size(name: &'static str, n: usize) -> Result<(), ContrastiveError> {
    check(n >= 1, name, "at least 1", n as f64)
}

/// A share of the run's range.
pub(crate) fn check_share(name: &'static str, share: f64) -> Result<(), ContrastiveError> {
    check((0.0..=1.0).contains(&share), name, "in [0, 1]", share)
}

/// A term's weight's range.
pub(crate) fn check_weight(name: &'static str, weight: f64) -> Result<(), ContrastiveError> {
    check(weight.is_finite() && weight >= 0.0, name, "a finite number of at least 0", weight)
}

/// The range of a factor, or of a number that something is divided by.
pub(crate) fn check_positive(name: &'static str, value: f64) -> Result<(), ContrastiveError> {
    check(value.is_finite() && value > 0.0, name, "a finite number above 0", value)
}

/// The range of a number of views.
pub(crate) fn check_views(views: usize) -> Result<(), ContrastiveError> {
    check(views >= 2, "views", "at least 2", views as f64)
}

/// The ranges of small crops.
pub(crate) fn check_small_crops(crops: &SmallCrops) -> Result<(), ContrastiveError> {
    let (low, high) = crops.scale;
    check(low > 0.0 && low <= high, "small_crops.scale[0]", "above 0, at most `small_crops.scale[1]`", low.into())?;
    check(high <= 1.0, "small_crops.scale[1]", "at most 1", high.into())?;
    check(crops.size > 0.0 && crops.size <= 1.0, "small_crops.size", "above 0, at most 1", crops.size.into())?;
    let blur = crops.blur.unwrap_or(0.0);
    check((0.0..=1.0).contains(&blur), "small_crops.blur", "in [0, 1]", blur.into())
}
