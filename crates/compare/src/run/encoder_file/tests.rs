use super::*;
use burn::tensor::Device;
use metric::mahalanobis::{Keep, Mahalanobis, Pca};
use nearfar_core::{
    augment::Augmenter,
    backend::Backend,
    data::{Dataset, Inputs},
    encoder::Architecture,
};

const CONFIG: EncoderConfig = EncoderConfig { architecture: Architecture::Conv4, width: 6 };

fn device() -> Device {
    Backend::Flex.open().unwrap().1
}

fn images() -> Dataset {
    let pixels: Vec<u8> = (0..20 * 64u32).map(|i| (i * i % 251) as u8).collect();
    let inputs = Inputs::Images { pixels, channels: 1, height: 8, width: 8 };
    Dataset { name: "t".into(), inputs, labels: None, class_names: Vec::new(), groups: None }
}

fn about(features: &Features) -> About {
    About {
        format: FORMAT,
        version: "0".into(),
        method: "m".into(),
        seed: 3,
        dataset: "t".into(),
        input: ItemKind::of(&images()),
        base: base(features, CONFIG),
        maps: maps(features),
        distance: features.distance(),
    }
}

fn encoder() -> Features {
    let shape = images().shape();
    Features::Encoder(Box::new(CONFIG.init(shape, 5, &device().autodiff()).unwrap()))
}

fn map(inputs: usize, outputs: usize) -> Mahalanobis {
    Mahalanobis::new((0..inputs * outputs).map(|i| (i as f64 * 0.7).sin()).collect(), inputs).unwrap()
}

/// Every kind of row.
fn every_kind() -> Vec<Features> {
    let rows = images().features();
    let pca = Pca::fit(&rows, Keep::Count(5)).unwrap();
    let learnt = |features: Features, inputs| Features::Mahalanobis(Box::new(features), map(inputs, 4));
    vec![
        Features::Pixels,
        Features::Pca(pca.clone()),
        Features::Pca(pca.clone().whitened()),
        encoder(),
        learnt(Features::Pca(pca), 5),
        learnt(encoder(), 6),
        Features::Mahalanobis(Box::new(learnt(encoder(), 6)), map(4, 3)),
    ]
}

#[test]
fn every_kind_of_row_computes_the_same_features_again() {
    let data = images();
    let normalization = Normalization::of(&data.inputs);
    let augmenter = Augmenter::new(&[], normalization.clone(), 9).unwrap();
    for features in every_kind() {
        let about = about(&features);
        let bytes = encode(&about, &features, &normalization).unwrap();
        let model = Model::decode(&bytes, &device()).unwrap_or_else(|t| panic!("{}", t.at(Path::new("f"))));
        assert_eq!(model.about, about);
        let expected = features.of(&data, &augmenter, &device()).unwrap();
        assert_eq!(model.embed(&data, 256).unwrap(), expected, "{about:?}");
        let few = model.embed(&data, 3).unwrap();
        let close =
            few.as_slice().iter().zip(expected.as_slice()).all(|(a, b)| (a - b).abs() <= 1e-4 * (1.0 + b.abs()));
        assert!(close && few.rows() == expected.rows(), "{about:?}");
    }
}

#[test]
fn trouble_is_named_with_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m-seed0.safetensors");
    let normalization = Normalization::of(&images().inputs);
    let error = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = Model::read(&path, &device()).err().unwrap().to_string();
        assert!(error.contains("m-seed0.safetensors"), "{error}");
        error
    };
    let features = encoder();
    let written = |change: &dyn Fn(&mut About)| {
        let mut about = about(&features);
        change(&mut about);
        encode(&about, &features, &normalization).unwrap()
    };
    assert!(error(b"no such file").contains("no safetensors file"));
    assert!(error(&written(&|a| a.format = 2)).contains("format 2, this version reads format 1"));
    assert!(error(&written(&|a| a.maps = 1)).contains("no tensor `maps.0`"));
    let wide = EncoderConfig { width: 7, ..CONFIG };
    assert!(error(&written(&|a| a.base = Base::Encoder(wide))).contains("belongs to another network"));
    let colour = ItemKind::Images { channels: 3, height: 8, width: 8 };
    assert!(error(&written(&|a| a.input = colour)).contains("normalises 1 channels or columns, and takes 3"));
    let misfit = Features::Mahalanobis(Box::new(encoder()), map(5, 2));
    let bytes = encode(&about(&misfit), &misfit, &normalization).unwrap();
    assert!(error(&bytes).contains("maps.0 takes 5 numbers, but gets 6"));
    let mut weights = Weights::new("{}".into());
    weights.insert_f32("x", &[1], &[0.0]);
    assert!(error(&weights.to_bytes().unwrap()).contains("it names no format"));

    let message = Model::read(dir.path(), &device()).err().unwrap().to_string();
    assert!(message.contains("is a folder") && message.contains("m-seed0.safetensors"), "{message}");
    let message = Model::read(&dir.path().join("none"), &device()).err().unwrap().to_string();
    assert!(message.contains("cannot read the encoder") && message.contains("compare run"), "{message}");
}
