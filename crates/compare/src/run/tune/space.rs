//! The table of what is searched for each method: every setting with its range and prior.
//!
//! Paths are those of `config.toml` below the method's table. What belongs to the run and not to a method (encoder,
//! budget, views) is the same for all and is not here. Nor are numbers of views and of layers that would make one trial
//! cost more than another's.

use super::prior::Prior::{self, Around, Choice, Integer, LogInteger, LogUniform, NearOne, Uniform};

/// One line of the table.
pub type Line = (&'static str, Prior);

/// What everything trained by gradient descent has. The rate is searched around the given one, because its scale is the
/// optimiser's: 0.001 for AdamW, 0.1 for SGD, 1 for LARS.
const OPTIMIZER: &[Line] =
    &[("optimizer.learning_rate", Around(10.0)), ("optimizer.weight_decay", LogUniform(1e-6, 1e-2))];

// What several methods have under the same name.
const PER_CLASS: Line = ("settings.images_per_class", LogInteger(2, 16));
const MINING: Line = ("settings.mining", Choice(&["all", "batch_hard", "semi_hard"]));
const TEMPERATURE: Line = ("settings.temperature", LogUniform(0.05, 1.0));
const MOMENTUM: Line = ("settings.momentum", NearOne(1e-3, 0.1));
const QUEUE: Line = ("settings.queue", LogInteger(512, 16_384));
const HIDDEN: Line = ("settings.hidden", LogInteger(64, 1024));
const OUTPUT: Line = ("settings.output", LogInteger(32, 256));
const WIDE_OUTPUT: Line = ("settings.output", LogInteger(64, 1024));
const SCALE: Line = ("settings.loss.scale", LogUniform(8.0, 128.0));
const DEGREES: Line = ("settings.loss.margin", Uniform(5.0, 45.0));
const POSITIVE_MARGIN: Line = ("settings.loss.positive_margin", Uniform(0.0, 0.5));
const NEGATIVE_MARGIN: Line = ("settings.loss.negative_margin", Uniform(0.3, 1.9));
const INIT: Line = ("init", Choice(&["identity", "pca"]));
const PRIOR: Line = ("prior", Choice(&["identity", "inverse_covariance"]));
/// Fewer iterations are a way to learn less from the training rows, not only to save time.
const ITERATIONS: Line = ("max_iterations", LogInteger(10, 1000));

/// Methods trained by gradient descent, by the name of their table in `config.toml`: their own settings.
pub const DEEP: &[(&str, &[Line])] = &[
    ("supervised", &[]),
    ("siamese", &[POSITIVE_MARGIN, NEGATIVE_MARGIN, PER_CLASS]),
    ("triplet", &[("settings.loss.margin", LogUniform(0.02, 1.0)), MINING, PER_CLASS]),
    (
        "deep_mahalanobis",
        &[
            ("settings.loss.margin", LogUniform(0.02, 1.0)),
            ("settings.penalty", LogUniform(1e-5, 0.1)),
            MINING,
            PER_CLASS,
        ],
    ),
    ("supcon", &[("settings.loss.temperature", LogUniform(0.03, 1.0))]),
    ("simclr", &[TEMPERATURE, HIDDEN, OUTPUT]),
    ("dcl", &[TEMPERATURE, HIDDEN, OUTPUT]),
    (
        "dclw",
        &[
            ("settings.sigma", LogUniform(0.1, 2.0)),
            ("settings.dcl.temperature", LogUniform(0.05, 1.0)),
            ("settings.dcl.hidden", LogInteger(64, 1024)),
            ("settings.dcl.output", LogInteger(32, 256)),
        ],
    ),
    (
        "moco",
        &[TEMPERATURE, QUEUE, MOMENTUM, ("settings.momentum_schedule", Choice(&["false", "true"])), HIDDEN, OUTPUT],
    ),
    ("moco_v3", &[TEMPERATURE, MOMENTUM, HIDDEN, OUTPUT]),
    ("nnclr", &[TEMPERATURE, QUEUE, HIDDEN, ("settings.predictor_hidden", LogInteger(64, 1024)), OUTPUT]),
    (
        "ressl",
        &[
            // Every temperature of the teacher is below every one of the student, as it must be.
            ("settings.temperature", LogUniform(0.06, 0.5)),
            ("settings.teacher_temperature", LogUniform(0.01, 0.055)),
            MOMENTUM,
            QUEUE,
            HIDDEN,
            OUTPUT,
        ],
    ),
    ("byol", &[MOMENTUM, HIDDEN, OUTPUT]),
    ("simsiam", &[WIDE_OUTPUT, ("settings.bottleneck", LogInteger(16, 256))]),
    (
        "fast_siam",
        &[("settings.networks.output", LogInteger(64, 1024)), ("settings.networks.bottleneck", LogInteger(16, 256))],
    ),
    ("barlow_twins", &[("settings.redundancy", LogUniform(5e-4, 0.05)), HIDDEN, WIDE_OUTPUT]),
    (
        "vicreg",
        &[
            ("settings.weights.invariance", LogUniform(1.0, 100.0)),
            ("settings.weights.variance", LogUniform(1.0, 100.0)),
            ("settings.weights.covariance", LogUniform(0.1, 10.0)),
            HIDDEN,
            WIDE_OUTPUT,
        ],
    ),
    // Whitening needs a batch of more images than there are outputs.
    ("w_mse", &[("settings.epsilon", LogUniform(1e-5, 0.1)), HIDDEN, ("settings.output", LogInteger(16, 128))]),
    (
        "tico",
        &[("settings.rho", LogUniform(1.0, 40.0)), ("settings.beta", NearOne(0.01, 0.5)), MOMENTUM, HIDDEN, OUTPUT],
    ),
    ("mmcr", &[MOMENTUM, HIDDEN, OUTPUT]),
    (
        "swav",
        &[
            ("settings.temperature", LogUniform(0.05, 0.5)),
            ("settings.epsilon", LogUniform(0.02, 0.2)),
            ("settings.prototypes", LogInteger(64, 1024)),
            ("settings.queue", LogInteger(256, 4096)),
            HIDDEN,
            OUTPUT,
        ],
    ),
    (
        "dino",
        &[
            ("settings.temperature", LogUniform(0.05, 0.3)),
            ("settings.teacher_temperature.start", LogUniform(0.01, 0.05)),
            ("settings.teacher_temperature.end", LogUniform(0.02, 0.1)),
            ("settings.center_momentum", NearOne(0.01, 0.5)),
            MOMENTUM,
            ("settings.prototypes", LogInteger(128, 4096)),
            OUTPUT,
        ],
    ),
];

/// Losses of the table in `metric`, by their names.
pub const LOSSES: &[(&str, &[Line])] = &[
    ("contrastive", &[POSITIVE_MARGIN, NEGATIVE_MARGIN, PER_CLASS]),
    ("triplet_margin", &[("settings.loss.margin", LogUniform(0.02, 1.0)), PER_CLASS]),
    ("margin", &[("settings.loss.margin", Uniform(0.05, 0.5)), ("settings.loss.beta", Uniform(0.6, 1.5)), PER_CLASS]),
    (
        "multi_similarity",
        &[
            ("settings.loss.alpha", LogUniform(0.5, 10.0)),
            ("settings.loss.beta", LogUniform(10.0, 100.0)),
            ("settings.loss.base", Uniform(0.0, 1.0)),
            PER_CLASS,
        ],
    ),
    ("ntxent", &[("settings.loss.temperature", LogUniform(0.03, 1.0)), PER_CLASS]),
    ("nca_loss", &[("settings.loss.scale", LogUniform(0.3, 30.0)), PER_CLASS]),
    ("npairs", &[PER_CLASS]),
    ("lifted_structure", &[POSITIVE_MARGIN, NEGATIVE_MARGIN, PER_CLASS]),
    ("generalized_lifted_structure", &[POSITIVE_MARGIN, NEGATIVE_MARGIN, PER_CLASS]),
    (
        "circle",
        &[("settings.loss.margin", Uniform(0.1, 0.6)), ("settings.loss.gamma", LogUniform(16.0, 512.0)), PER_CLASS],
    ),
    ("fast_ap", &[("settings.loss.bins", LogInteger(5, 50)), PER_CLASS]),
    ("angular", &[("settings.loss.alpha", Uniform(20.0, 60.0)), PER_CLASS]),
    (
        "intra_pair_variance",
        &[
            ("settings.loss.positive_slack", LogUniform(1e-3, 0.3)),
            ("settings.loss.negative_slack", LogUniform(1e-3, 0.3)),
            PER_CLASS,
        ],
    ),
    ("tuplet_margin", &[("settings.loss.margin", Uniform(1.0, 20.0)), SCALE, PER_CLASS]),
    (
        "snr_contrastive",
        &[
            ("settings.loss.loss.positive_margin", Uniform(0.0, 0.5)),
            ("settings.loss.loss.negative_margin", Uniform(0.1, 2.0)),
            PER_CLASS,
        ],
    ),
    ("histogram", &[("settings.loss.bins", LogInteger(25, 250)), PER_CLASS]),
    (
        "ranked_list",
        &[
            ("settings.loss.margin", Uniform(0.1, 1.0)),
            ("settings.loss.imbalance", Uniform(0.0, 1.0)),
            ("settings.loss.negative_temperature", Uniform(0.0, 20.0)),
            PER_CLASS,
        ],
    ),
    (
        "pnp",
        &[
            ("settings.loss.anneal", LogUniform(1e-3, 0.1)),
            ("settings.loss.penalty", Choice(&["linear", "increasing", "decreasing"])),
            PER_CLASS,
        ],
    ),
    (
        "dynamic_soft_margin",
        &[("settings.loss.bins", LogInteger(5, 50)), ("settings.loss.momentum", LogUniform(1e-3, 0.3)), PER_CLASS],
    ),
    (
        "manifold",
        &[
            ("settings.loss.context", LogUniform(0.1, 10.0)),
            ("settings.loss.alpha", Uniform(0.5, 0.95)),
            ("settings.loss.margin", LogUniform(1e-4, 0.1)),
        ],
    ),
    ("instance", &[("settings.loss.gamma", LogUniform(8.0, 128.0))]),
    (
        "threshold_consistent_margin",
        &[
            ("settings.loss.positive_margin", Uniform(0.6, 1.0)),
            ("settings.loss.negative_margin", Uniform(0.1, 0.7)),
            ("settings.loss.positive_weight", LogUniform(0.1, 10.0)),
            ("settings.loss.negative_weight", LogUniform(0.1, 10.0)),
            PER_CLASS,
        ],
    ),
    ("arcface", &[DEGREES, SCALE]),
    ("subcenter_arcface", &[DEGREES, SCALE, ("settings.loss.centers", Integer(1, 5))]),
    ("cosface", &[("settings.loss.margin", Uniform(0.05, 0.5)), SCALE]),
    ("sphereface", &[("settings.loss.margin", Integer(1, 5)), ("settings.loss.scale", LogUniform(0.5, 64.0))]),
    (
        "large_margin_softmax",
        &[("settings.loss.margin", Integer(1, 5)), ("settings.loss.scale", LogUniform(0.1, 10.0))],
    ),
    ("normalized_softmax", &[("settings.loss.temperature", LogUniform(0.01, 0.5))]),
    ("p2s_grad", &[]),
    ("proxy_nca", &[("settings.loss.scale", LogUniform(0.3, 30.0))]),
    ("proxy_anchor", &[("settings.loss.margin", Uniform(0.0, 0.3)), ("settings.loss.alpha", LogUniform(8.0, 128.0))]),
    (
        "soft_triple",
        &[
            ("settings.loss.centers", LogInteger(2, 20)),
            ("settings.loss.lambda", LogUniform(5.0, 50.0)),
            ("settings.loss.gamma", LogUniform(0.02, 0.5)),
            ("settings.loss.margin", Uniform(0.0, 0.1)),
        ],
    ),
];

/// Mahalanobis learners, by their names. Output dimensions are left as they are: how many there can be depends on the
/// data.
pub const LINEAR: &[(&str, &[Line])] = &[
    ("lmnn", &[("neighbors", Integer(1, 10)), ("push", Uniform(0.1, 0.9)), INIT]),
    ("nca", &[INIT, ITERATIONS]),
    ("itml", &[("gamma", LogUniform(0.01, 100.0)), PRIOR]),
    ("covariance", &[]),
    ("rca", &[("chunks", LogInteger(20, 500)), ("chunk_size", Integer(2, 10))]),
    ("lfda", &[("neighbors", Integer(1, 20)), ("embedding", Choice(&["weighted", "orthonormalized", "plain"]))]),
    ("mlkr", &[INIT, ITERATIONS]),
    ("mmc", &[("diagonal", Choice(&["false", "true"])), ITERATIONS]),
    ("lsml", &[PRIOR, ITERATIONS]),
    ("sdml", &[("balance", LogUniform(0.01, 1.0)), ("sparsity", LogUniform(1e-3, 0.3)), PRIOR]),
    (
        "scml",
        &[("beta", LogUniform(1e-7, 1e-3)), ITERATIONS, ("genuine", Integer(1, 10)), ("impostors", Integer(2, 30))],
    ),
];

/// Settings of a method, or a loss, trained by gradient descent; `None` if the table lacks it.
pub fn deep(table: &[(&str, &'static [Line])], name: &str) -> Option<Vec<Line>> {
    Some([OPTIMIZER, own(table, name)?].concat())
}

/// Settings of a Mahalanobis learner; `None` if the table lacks it.
pub fn linear(name: &str) -> Option<Vec<Line>> {
    own(LINEAR, name).map(<[Line]>::to_vec)
}

fn own(table: &[(&str, &'static [Line])], name: &str) -> Option<&'static [Line]> {
    table.iter().find(|(known, _)| *known == name).map(|(_, lines)| *lines)
}
