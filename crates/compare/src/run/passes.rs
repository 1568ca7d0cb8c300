//! How batches pass, as the settings ask; `check` says which methods can.

use super::config::Config;
use anyhow::bail;
use nearfar_core::train::Passes;

/// From `accumulate` and `chunk`.
pub fn passes(config: &Config) -> anyhow::Result<Passes> {
    match (config.accumulate, config.chunk) {
        (1, None) => Ok(Passes::Whole),
        (parts, None) => Ok(Passes::Parts(parts)),
        (1, Some(images)) => Ok(Passes::Chunks(images)),
        (..) => bail!("--accumulate and --chunk are two ways to train on batches larger than memory: choose one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{check::rows, method::MethodName, prepare::Prepared};
    use metric::methods::LossSettings;

    /// Checks `methods` on iris.
    fn check(config: &Config, methods: &[MethodName]) -> anyhow::Result<()> {
        let mut data = Prepared::new(config, methods)?;
        rows(methods.iter().map(|method| (config, *method)), &mut data)
    }

    #[test]
    fn methods_are_asked_before_the_run() {
        let methods = |names: &str| MethodName::parse_list(names).unwrap();
        let with = |accumulate, chunk| {
            let dataset = "iris".to_owned();
            Config { dataset, accumulate, chunk, batch: Some(64), ..Config::default() }
        };
        assert!(check(&with(1, None), &methods("all")).is_ok());
        assert!(check(&with(4, None), &methods("pixels,byol,simsiam,fast_siam,supervised,simsiam+lmnn")).is_ok());
        let cached = "siamese,triplet,supcon,deep_mahalanobis,simclr,dcl,dclw,moco,moco_v3,nnclr,ressl,barlow_twins,\
                      vicreg,w_mse,tico,mmcr,swav,dino";
        let losses = LossSettings::names().collect::<Vec<_>>().join(",");
        for list in [cached, losses.as_str()] {
            assert!(check(&with(1, Some(16)), &methods(list)).is_ok(), "{list}");
        }
        let refused = |config: &Config, names: &str| check(config, &methods(names)).unwrap_err().to_string();
        let message = refused(&with(4, None), "byol,simclr,triplet");
        assert!(message.contains("simclr") && message.contains("triplet") && message.contains("`chunk`"), "{message}");
        assert!(!message.contains("byol"), "{message}");
        assert!(refused(&with(1, Some(16)), "byol").contains("`accumulate`"));
        assert!(refused(&with(2, Some(16)), "byol").contains("choose one"));
        assert!(refused(&with(0, None), "byol").contains("at least 1"));
    }
}
