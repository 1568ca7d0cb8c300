use super::{
    EpochEvent, Health, Method, Observer, Progress, StepEvent, TrainConfig, TrainData, TrainError, Warning,
    batches::with_batches,
    checkpoint::{self, Parts, State},
};
use crate::{encoder::Encoder, matrix::Matrix};
use burn::{
    optim::GradientsParams,
    tensor::{Device, Tensor},
};
use nearfar_kernels::is_host;
use std::{
    ops::ControlFlow,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Steps between two readings of the loss on a device for which a reading is a stall.
const READ_EVERY: usize = 10;

/// Sets the random numbers of heads apart from those of encoders.
const HEAD_SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The outcome of a run.
pub struct Trained<M> {
    /// The networks, still on the training device.
    pub model: M,
    /// Whether all steps were done; if not, the observer stopped the run.
    pub finished: bool,
    /// Steps done in all, before a resumption too.
    pub steps: usize,
    /// Time spent training, before a resumption too; without evaluation and checkpoints.
    pub time: Duration,
    /// Mean loss of every epoch.
    pub losses: Vec<f64>,
    /// State of the embeddings at the end.
    pub health: Health,
    /// Trouble seen on the way.
    pub warnings: Vec<Warning>,
    /// The last checkpoint.
    pub checkpoint: Option<PathBuf>,
}

fn host_matrix(t: Tensor<2>, step: usize) -> Result<Matrix, TrainError> {
    let [rows, cols] = t.dims();
    let values = t.detach().try_into_vec_as::<f32>().map_err(|e| device_error(step, &e))?;
    Ok(Matrix::new(values, rows, cols).expect("a tensor has as many values as its shape"))
}

fn device_error(step: usize, error: &impl std::fmt::Debug) -> TrainError {
    TrainError::Device { step, reason: format!("{error:?}") }
}

/// Trains `method` around `encoder`, which gives `features` numbers, on `device`, which must have autodiff enabled.
/// Continues from the newest checkpoint under `config.checkpoints`, if one is there.
///
/// # Errors
/// When the data do not fit the method, a setting is out of range, the loss is not finite, or a checkpoint cannot be
/// written or read.
pub fn train<M: Method>(
    method: &M,
    encoder: Encoder,
    features: usize,
    data: TrainData<'_>,
    config: &TrainConfig,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Trained<M::Model>, TrainError> {
    config.optimizer.validate()?;
    let needs = method.needs();
    if data.augmenter.view_count() < needs.views {
        let given = data.augmenter.view_count();
        return Err(TrainError::Views { method: method.name(), needed: needs.views, given });
    }
    // Another seed than the encoder's: the same one would give heads the same random numbers.
    let (model, memory) = method.build(encoder, features, config.seed ^ HEAD_SEED, device);
    let optimizer = config.optimizer.init();
    let state = State { method: method.name().into(), step: 0, seconds: 0.0, losses: Vec::new() };
    let saved = config.checkpoints.as_deref().and_then(checkpoint::latest);
    let Parts { model, mut memory, mut optimizer, mut state } = match &saved {
        Some(path) => checkpoint::load(path, model, memory, optimizer)?,
        None => Parts { model, memory, optimizer, state },
    };
    let first = state.step;
    let before = Duration::from_secs_f64(state.seconds);
    let shape = data.dataset.shape();
    let read_every = if is_host(device) { 1 } else { READ_EVERY };

    let mut checkpoint = saved;
    let mut warnings: Vec<Warning> = Vec::new();
    let mut health = Health::default();
    let (mut loss, mut epoch_losses) = (f64::NAN, Vec::new());
    let mut time = Duration::ZERO;
    let mut images = 0;
    let mut stopped = false;

    let model = with_batches(needs, data, config, first, |batches| -> Result<M::Model, TrainError> {
        let mut model = model;
        for step in first..config.steps {
            let start = Instant::now();
            let batch = batches.recv().map_err(|e| device_error(step + 1, &e))?.upload(shape, device);
            let at = Progress { step, steps: config.steps, seed: config.seed };
            let done = step + 1;
            let objective = method
                .try_objective(&model, &mut memory, &batch, at)
                .map_err(|reason| TrainError::NoLoss { method: method.name(), step: done, reason })?;
            let epoch_ends = done % config.steps_per_epoch.max(1) == 0 || done == config.steps;
            let read = epoch_ends || done % read_every == 0 || step == first;
            if read {
                loss = objective.loss.clone().try_into_scalar::<f32>().map_err(|e| device_error(done, &e))?.into();
                if !loss.is_finite() {
                    return Err(TrainError::NonFinite {
                        method: method.name(),
                        loss,
                        step: done,
                        checkpoint: checkpoint.clone(),
                    });
                }
                epoch_losses.push(loss);
            }
            let embedding = epoch_ends.then(|| objective.embedding.detach());
            let grads = GradientsParams::from_grads(objective.loss.backward(), &model);
            model = optimizer.step(config.optimizer.rates(step, config.steps, method.constant_rate()), model, grads);
            memory = method.after_step(&model, memory, at);
            if read {
                device.sync().map_err(|e| device_error(done, &e))?;
            }
            time += start.elapsed();
            images += batch.len();

            let event = StepEvent {
                step: done,
                steps: config.steps,
                loss,
                images_per_second: images as f64 / time.as_secs_f64().max(1e-9),
            };
            stopped = observer.step(&event) == ControlFlow::Break(());
            if let Some(embedding) = embedding {
                // Labels that the method itself may not see tell here how many of its negatives are false.
                let labels = data.dataset.labels.as_deref().unwrap_or_default();
                let labels: Vec<usize> = batch.indices.iter().filter_map(|i| labels.get(*i).copied()).collect();
                health = Health::of_views(&host_matrix(embedding, done)?, batch.len(), &labels);
                let mean = epoch_losses.iter().sum::<f64>() / epoch_losses.len().max(1) as f64;
                epoch_losses.clear();
                state.losses.push(mean);
                let mark = method.collapsed_loss(batch.len());
                if let Some(warning) = Warning::find(health, mean, mark, method.remedy(), done) {
                    let known = |w: &Warning| std::mem::discriminant(w) == std::mem::discriminant(&warning);
                    if !warnings.iter().any(known) {
                        observer.warning(&warning);
                        warnings.push(warning);
                    }
                }
                observer.epoch(&EpochEvent { epoch: state.losses.len(), loss: mean, health, elapsed: before + time });
            }
            state.step = done;
            state.seconds = (before + time).as_secs_f64();
            if (epoch_ends || stopped)
                && let Some(dir) = &config.checkpoints
            {
                checkpoint = Some(checkpoint::save(dir, &model, &memory, &optimizer, &state)?);
            }
            if stopped {
                break;
            }
        }
        Ok(model)
    })??;
    Ok(Trained {
        model,
        finished: !stopped || state.step == config.steps,
        steps: state.step,
        time: before + time,
        losses: state.losses,
        health,
        warnings,
        checkpoint,
    })
}
