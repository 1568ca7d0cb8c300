//! Calibration, prediction and storage.

use crate::golden;
use metric::mahalanobis::{Init, Itml, Lmnn, Mahalanobis, ThresholdStrategy, pairs_from_labels};

/// Learn, calibrate on other pairs, predict, store: what verification needs.
#[test]
fn pairs_are_verified_by_a_calibrated_threshold() {
    let iris = golden().iris;
    let x = iris.rows();
    let held_out = pairs_from_labels(&iris.y, Some(300), 7).unwrap();
    let strategies = [
        (ThresholdStrategy::Accuracy, 0.85),
        (ThresholdStrategy::FBeta { beta: 1.0 }, 0.85),
        (ThresholdStrategy::MaxTpr { min_tnr: 0.9 }, 0.85),
        (ThresholdStrategy::MaxTnr { min_tpr: 0.9 }, 0.85),
    ];
    let mut model = Itml::default().fit_pairs(&x, &iris.pairs(), None).unwrap().model;
    for (strategy, least) in strategies {
        let threshold = model.calibrate(&x, &held_out, strategy).unwrap();
        let stored: Mahalanobis = serde_json::from_str(&serde_json::to_string(&model).unwrap()).unwrap();
        // The reader of JSON may round the last bit.
        assert!((stored.threshold().unwrap() - threshold).abs() <= 1e-14 * threshold);
        let predicted = stored.predict(&x, &held_out.pairs).unwrap();
        let right = |kind: bool| {
            let of_kind = predicted.iter().zip(&held_out.same).filter(|&(_, &s)| s == kind);
            of_kind.clone().filter(|&(&p, _)| p == kind).count() as f64 / of_kind.count() as f64
        };
        let (tpr, tnr) = (right(true), right(false));
        assert!(0.5 * (tpr + tnr) >= least, "{strategy:?}: {tpr} {tnr}");
        match strategy {
            ThresholdStrategy::MaxTpr { min_tnr } => assert!(tnr >= min_tnr),
            ThresholdStrategy::MaxTnr { min_tpr } => assert!(tpr >= min_tpr),
            ThresholdStrategy::Accuracy | ThresholdStrategy::FBeta { .. } => {}
        }
    }
}

#[test]
fn a_model_survives_storage_and_a_damaged_one_is_refused() {
    let mut model = Mahalanobis::new(vec![0.5, -0.25, 3.0, 0.125, 1.0, 2.0], 3).unwrap();
    model.set_threshold(1.5).unwrap();
    let text = serde_json::to_string(&model).unwrap();
    assert_eq!(serde_json::from_str::<Mahalanobis>(&text).unwrap(), model);
    let damaged = text.replace("\"input_dim\":3", "\"input_dim\":4");
    assert_ne!(damaged, text);
    let error = serde_json::from_str::<Mahalanobis>(&damaged).unwrap_err();
    assert!(error.to_string().contains("components"), "{error}");
    let settings: Lmnn = serde_json::from_str(r#"{ "neighbors": 5, "init": "pca" }"#).unwrap();
    assert_eq!(settings, Lmnn { neighbors: 5, init: Init::Pca, ..Lmnn::default() });
    assert!(serde_json::from_str::<Lmnn>(r#"{ "neighbours": 5 }"#).is_err());
}
