//! Whether every method of a run can pass its batches as the settings ask.

use super::{
    config::Config,
    hybrid::Combination,
    method::{Base, DeepVisitor, MethodName, MethodSettings},
};
use anyhow::{bail, ensure};
use nearfar_core::{
    optim::OptimizerConfig,
    train::{Method, Passes, PassesError},
};

/// How batches pass, from `accumulate` and `chunk`.
pub fn passes(config: &Config) -> anyhow::Result<Passes> {
    match (config.accumulate, config.chunk) {
        (1, None) => Ok(Passes::Whole),
        (parts, None) => Ok(Passes::Parts(parts)),
        (1, Some(images)) => Ok(Passes::Chunks(images)),
        (..) => bail!("--accumulate and --chunk are two ways to train on batches larger than memory: choose one"),
    }
}

/// Refuses, before anything is trained, what a method would refuse.
pub fn check(config: &Config, methods: &[MethodName], classes: usize) -> anyhow::Result<()> {
    let passes = passes(config)?;
    let settings = MethodSettings { classes, ..config.method.clone() };
    let mut refused: Vec<String> = Vec::new();
    for method in methods {
        if let Base::Hybrid(hybrid) = method.base
            && hybrid.combination == Combination::With
            && config.chunk.is_some()
        {
            refused
                .push(format!("{method} trains two methods at once, for which there is no gradient caching (`chunk`)"));
        }
        for deep in method.base.trained() {
            if let Err(error) = settings.visit(deep, Check { passes, batch: config.batch })? {
                refused.push(error.to_string());
            }
        }
    }
    refused.dedup();
    ensure!(refused.is_empty(), "{}", refused.join("; "));
    Ok(())
}

struct Check {
    passes: Passes,
    batch: usize,
}

impl DeepVisitor for Check {
    type Output = Result<(), PassesError>;

    fn visit<M: Method>(self, method: &M, _: &OptimizerConfig) -> Self::Output {
        self.passes.check(method, self.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metric::methods::LossSettings;

    #[test]
    fn methods_are_asked_before_the_run() {
        let methods = |names: &str| MethodName::parse_list(names).unwrap();
        let with = |accumulate, chunk| Config { accumulate, chunk, batch: 64, ..Config::default() };
        let plain = Config::default();
        assert!(check(&plain, &plain.method_names().unwrap(), 10).is_ok());
        assert!(check(&with(4, None), &methods("pixels,byol,simsiam,fast_siam,supervised,simsiam+lmnn"), 10).is_ok());
        let cached = "siamese,triplet,supcon,deep_mahalanobis,simclr,dcl,dclw,moco,moco_v3,nnclr,ressl,barlow_twins,\
                      vicreg,w_mse,tico,mmcr,swav,dino";
        let losses = LossSettings::names().collect::<Vec<_>>().join(",");
        for list in [cached, losses.as_str()] {
            assert!(check(&with(1, Some(16)), &methods(list), 10).is_ok(), "{list}");
        }
        let refused = |config: &Config, names: &str| check(config, &methods(names), 10).unwrap_err().to_string();
        let message = refused(&with(4, None), "byol,simclr,triplet");
        assert!(message.contains("simclr") && message.contains("triplet") && message.contains("`chunk`"), "{message}");
        assert!(!message.contains("byol"), "{message}");
        assert!(refused(&with(1, Some(16)), "byol").contains("`accumulate`"));
        assert!(refused(&with(2, Some(16)), "byol").contains("choose one"));
        assert!(refused(&with(0, None), "byol").contains("at least 1"));
    }
}
