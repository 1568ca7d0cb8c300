use crate::{
    ContrastiveError,
    error::{check, check_positive},
};
use nearfar_core::train::Progress;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// How a temperature moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// In a straight line from start to end, then constant: the teacher's warm-up of DINO (Caron et al., 2021).
    Linear,
    /// Along half a cosine from start to end, then constant.
    Cosine,
    /// Along whole cosines from start to end and back, again and again (Kukleva et al., 2023): low temperatures tell
    /// images apart, high ones form groups.
    Wave,
}

/// A temperature over a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TemperatureSchedule {
    /// Temperature of the first step, > 0. Default 0.1, as in Kukleva et al.
    pub start: f64,
    /// Temperature at the end of the course (in the middle of each wave), > 0. Default 1, as in Kukleva et al.
    pub end: f64,
    /// The way between them. Default [`Course::Wave`].
    pub course: Course,
    /// Share of the run, in (0, 1], that the course takes, or that one wave takes. Default 0.1.
    pub share: f64,
}

impl Default for TemperatureSchedule {
    /// The waves of Kukleva et al.: between 0.1 and 1, ten of them.
    fn default() -> Self {
        Self { start: 0.1, end: 1.0, course: Course::Wave, share: 0.1 }
    }
}

impl TemperatureSchedule {
    /// Checks every setting's range.
    ///
    /// # Errors
    /// Names the first setting that is out of range.
    pub fn validate(&self) -> Result<(), ContrastiveError> {
        check_positive("start", self.start)?;
        check_positive("end", self.end)?;
        check(self.share > 0.0 && self.share <= 1.0, "share", "in (0, 1]", self.share)
    }

    /// The temperature of a step.
    pub fn at(&self, at: Progress) -> f64 {
        let share = at.step as f64 / at.steps.max(1) as f64 / self.share;
        let way = match self.course {
            Course::Linear => share.min(1.0),
            Course::Cosine => (1.0 - (PI * share.min(1.0)).cos()) / 2.0,
            Course::Wave => (1.0 - (2.0 * PI * share).cos()) / 2.0,
        };
        self.start + (self.end - self.start) * way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(course: Course, steps: [usize; 4]) -> [f64; 4] {
        let schedule = TemperatureSchedule { start: 0.1, end: 0.5, course, share: 0.5 };
        steps.map(|step| schedule.at(Progress { step, steps: 100, seed: 0 }))
    }

    fn assert_near(got: [f64; 4], wanted: [f64; 4]) {
        assert!(got.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?} {wanted:?}");
    }

    #[test]
    fn courses_start_and_end_where_they_say() {
        assert_near(values(Course::Linear, [0, 25, 50, 99]), [0.1, 0.3, 0.5, 0.5]);
        assert_near(values(Course::Cosine, [0, 25, 50, 99]), [0.1, 0.3, 0.5, 0.5]);
        assert_near(values(Course::Wave, [0, 25, 50, 75]), [0.1, 0.5, 0.1, 0.5]);
    }

    #[test]
    fn bad_settings_are_named() {
        let name = |s: TemperatureSchedule| s.validate().unwrap_err().name;
        assert_eq!(name(TemperatureSchedule { start: 0.0, ..TemperatureSchedule::default() }), "start");
        assert_eq!(name(TemperatureSchedule { end: f64::NAN, ..TemperatureSchedule::default() }), "end");
        assert_eq!(name(TemperatureSchedule { share: 0.0, ..TemperatureSchedule::default() }), "share");
    }
}
