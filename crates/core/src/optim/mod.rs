//! Optimisers and their learning-rate schedule, as plain settings.

mod lars;

pub use lars::{Lars, LarsState};

use burn::{
    module::ParamGroup,
    optim::{
        AdamWConfig, ModuleOptimizer, SgdConfig,
        decay::WeightDecayConfig,
        lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler},
        momentum::MomentumConfig,
    },
};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;
use thiserror::Error;

/// The rule of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Stochastic gradient descent with momentum 0.9 (no dampening), coupled weight decay.
    Sgd,
    /// AdamW (Loshchilov and Hutter, 2019) with PyTorch's betas 0.9, 0.999 and epsilon 1e-8.
    AdamW,
    /// Layer-wise adaptive rates (You et al., 2017) as SimCLR and BYOL use them; see [`Lars`].
    Lars,
}

/// Optimiser and schedule of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// The rule.
    pub kind: OptimizerKind,
    /// Peak learning rate, > 0.
    pub learning_rate: f64,
    /// Weight decay, >= 0.
    pub weight_decay: f64,
    /// Whether biases and batch-norm parameters are decayed (and, for LARS, adapted) as well.
    pub decay_norm_and_bias: bool,
    /// LARS's `eta`, > 0: 1e-3 in the papers, 0.02 in solo-learn.
    pub lars_eta: f64,
    /// Whether LARS's `eta` bounds the rate (solo-learn) or scales it (the papers).
    pub lars_clip: bool,
    /// Share of the steps in [0, 1) over which the rate rises linearly to its peak, before it falls as a cosine to zero.
    pub warmup: f64,
}

impl Default for OptimizerConfig {
    /// AdamW at 1e-3 with decay 1e-4 and a tenth of warm-up: the budget that the Python peers were measured with.
    fn default() -> Self {
        Self {
            kind: OptimizerKind::AdamW,
            learning_rate: 1e-3,
            weight_decay: 1e-4,
            decay_norm_and_bias: true,
            lars_eta: 1e-3,
            lars_clip: false,
            warmup: 0.1,
        }
    }
}

/// A setting outside its range.
#[derive(Debug, Error, PartialEq)]
#[error("optimizer setting `{name}` must be {range}, got {value}")]
pub struct OptimizerError {
    /// The field.
    pub name: &'static str,
    /// Allowed values.
    pub range: &'static str,
    /// What was given.
    pub value: f64,
}

impl OptimizerConfig {
    /// Checks every field's range.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn validate(&self) -> Result<(), OptimizerError> {
        let check = |name, ok, range, value| if ok { Ok(()) } else { Err(OptimizerError { name, range, value }) };
        let rate = self.learning_rate;
        check("learning_rate", rate.is_finite() && rate > 0.0, "a finite number above 0", rate)?;
        let decay = self.weight_decay;
        check("weight_decay", decay.is_finite() && decay >= 0.0, "a finite number of at least 0", decay)?;
        let eta = self.lars_eta;
        check("lars_eta", eta.is_finite() && eta > 0.0, "a finite number above 0", eta)?;
        check("warmup", (0.0..1.0).contains(&self.warmup), "in [0, 1)", self.warmup)
    }

    /// The optimiser of a whole module.
    pub fn init(&self) -> ModuleOptimizer {
        let decay = self.weight_decay;
        let exempt =
            (!self.decay_norm_and_bias).then(|| ParamGroup::from_any_predicates(vec!["bias", "gamma", "beta"]));
        match self.kind {
            OptimizerKind::AdamW => {
                let rule = |decay: f64| AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(decay as f32).build();
                let optimizer = ModuleOptimizer::from(rule(decay));
                exempt.into_iter().fold(optimizer, |o, group| o.with_group(group, rule(0.0), None))
            }
            OptimizerKind::Sgd => {
                // Burn's default dampening is 0.1; PyTorch and every recipe here have none.
                let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
                let rule = |decay: f64| {
                    let decay = (decay > 0.0).then(|| WeightDecayConfig::new(decay as f32));
                    SgdConfig::new().with_momentum(Some(momentum.clone())).with_weight_decay(decay).build()
                };
                let optimizer = ModuleOptimizer::from(rule(decay));
                exempt.into_iter().fold(optimizer, |o, group| o.with_group(group, rule(0.0), None))
            }
            // LARS knows biases and norms by their rank.
            OptimizerKind::Lars => ModuleOptimizer::from(Lars {
                weight_decay: decay,
                adapt_vectors: self.decay_norm_and_bias,
                eta: self.lars_eta,
                clip: self.lars_clip,
                ..Lars::default()
            }),
        }
    }

    /// The learning rate of `step` (from 0) among `steps`.
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        let warmup = (self.warmup * steps as f64).round();
        let step = step as f64;
        if step < warmup {
            return self.learning_rate * (step + 1.0) / warmup;
        }
        let share = (step - warmup) / (steps as f64 - warmup).max(1.0);
        self.learning_rate * 0.5 * (1.0 + (PI * share.min(1.0)).cos())
    }

    /// The learning rates of all modules at `step` among `steps`; modules with a part of `constant` in their path keep
    /// the peak rate for the whole run.
    pub fn rates(&self, step: usize, steps: usize, constant: &[&str]) -> ModuleLearningRate {
        let base = ModuleLrScheduler::new(self.rate(step, steps));
        let keep =
            |s: ModuleLrScheduler, part: &&str| s.with_group(ParamGroup::from_predicate(*part), self.learning_rate);
        constant.iter().fold(base, keep).step()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_warms_up_and_falls_to_zero() {
        let config = OptimizerConfig { learning_rate: 2.0, ..OptimizerConfig::default() };
        let rates: Vec<f64> = (0..100).map(|s| config.rate(s, 100)).collect();
        assert!((rates[0] - 0.2).abs() < 1e-12 && (rates[9] - 2.0).abs() < 1e-12 && (rates[10] - 2.0).abs() < 1e-12);
        assert!((rates[55] - 1.0).abs() < 1e-12);
        assert!(rates[10..].windows(2).all(|w| w[1] < w[0]) && rates[99] < 0.01);
    }

    #[test]
    fn a_named_module_keeps_its_rate() {
        let rates = OptimizerConfig::default().rates(90, 100, &["predictor"]);
        let id = burn::module::ParamId::new();
        assert_eq!(rates.lr_from_param(id, Some("predictor.layers.0.weight")), 1e-3);
        assert!(rates.lr_from_param(id, Some("projector.layers.0.weight")) < 1e-4);
    }

    #[test]
    fn bad_settings_are_named() {
        let bad = OptimizerConfig { warmup: 1.0, ..OptimizerConfig::default() };
        assert!(bad.validate().unwrap_err().to_string().contains("`warmup`"));
        let bad = OptimizerConfig { learning_rate: f64::NAN, ..OptimizerConfig::default() };
        assert!(bad.validate().unwrap_err().to_string().contains("`learning_rate`"));
    }
}
