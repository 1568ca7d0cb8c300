use super::{
    Batch, EpochEvent, Health, Method, Observer, Progress, StepEvent, TrainConfig, TrainData, TrainError, Warning,
    batches::{view_shapes, with_batches},
    checkpoint::{self, Parts, State},
    digest::digest,
};
use crate::{encoder::Encoder, matrix::Matrix};
use burn::tensor::{Device, Tensor};
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
    /// Trouble seen on the way, before a resumption too.
    pub warnings: Vec<Warning>,
    /// The last checkpoint.
    pub checkpoint: Option<PathBuf>,
}

fn host_matrix(t: Tensor<2>, step: usize) -> Result<Matrix, TrainError> {
    let [rows, cols] = t.dims();
    let values = t.try_into_vec_as::<f32>().map_err(|e| device_error(step, &e))?;
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
/// written or read, or belongs to another method, other settings, other data or another seed.
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
    config.passes.check(method, config.batch)?;
    let needs = method.needs();
    if data.augmenter.view_count() < needs.views {
        let given = data.augmenter.view_count();
        return Err(TrainError::Views { method: method.name(), needed: needs.views, given });
    }
    let shapes = view_shapes(&needs, data, |shape| encoder.check(shape))?;
    // Another seed than the encoder's: the same one would give heads the same random numbers.
    let (model, memory) = method.build(encoder, features, config.seed ^ HEAD_SEED, device);
    let optimizer = config.optimizer.init();
    let run = if config.checkpoints.is_some() { digest(method, features, data, config) } else { String::new() };
    let state = State { method: method.name().into(), run: run.clone(), ..State::default() };
    let mut checkpoint = config.checkpoints.as_deref().and_then(checkpoint::latest);
    let Parts { model, mut memory, mut optimizer, mut state } = match &checkpoint {
        Some(path) => checkpoint::load(path, &run, model, memory, optimizer)?,
        None => Parts { model, memory, optimizer, state },
    };
    if checkpoint.is_some() {
        observer.restore(&state.observer);
    }
    let first = state.step;
    let before = Duration::from_secs_f64(state.seconds);
    let read_every = if is_host(device) { 1 } else { READ_EVERY };

    let mut health = Health::default();
    let mut loss = f64::NAN;
    let mut time = Duration::ZERO;
    let mut images = 0;
    let mut stopped = false;

    let model = with_batches(needs, data, config, first, |batches| -> Result<M::Model, TrainError> {
        let mut model = model;
        for step in first..config.steps {
            let start = Instant::now();
            let batch = batches.recv().map_err(|e| device_error(step + 1, &e))?.upload(&shapes, device);
            let at = Progress { step, steps: config.steps, seed: config.seed };
            let taken = config.passes.step(method, &model, &mut memory, &batch, at)?;
            let done = step + 1;
            let epoch_ends = done % config.steps_per_epoch.max(1) == 0 || done == config.steps;
            // The same losses make an epoch's mean whether or not the run was stopped in it.
            let counts = epoch_ends || done % read_every == 0 || step == 0;
            let read = counts || step == first;
            if read {
                loss = taken.loss.try_into_scalar::<f32>().map_err(|e| device_error(done, &e))?.into();
                if !loss.is_finite() {
                    return Err(TrainError::NonFinite {
                        method: method.name(),
                        loss,
                        step: done,
                        checkpoint: checkpoint.clone(),
                    });
                }
            }
            if counts {
                state.pending.push(loss);
            }
            let rates = config.optimizer.rates(step, config.steps, method.constant_rate());
            model = optimizer.step(rates, model, taken.gradients);
            memory = method.after_step(&model, memory, at);
            let watched = observer.watches_batches();
            if read || watched {
                device.sync().map_err(|e| device_error(done, &e))?;
            }
            time += start.elapsed();
            images += batch.len();

            let encoder = method.encoder(&model);
            if watched {
                observer.batch(&batch, encoder);
            }
            let event = StepEvent {
                step: done,
                steps: config.steps,
                loss,
                images_per_second: images as f64 / time.as_secs_f64().max(1e-9),
            };
            stopped = observer.step(&event) == ControlFlow::Break(());
            state.step = done;
            state.seconds = (before + time).as_secs_f64();
            if epoch_ends {
                health = health_of(taken.embedding, &batch, data, done)?;
                let loss = end_epoch(method, health, batch.len(), &mut state, observer);
                observer.epoch(&EpochEvent {
                    epoch: state.losses.len(),
                    loss,
                    health,
                    elapsed: before + time,
                    encoder,
                });
            }
            if (epoch_ends || stopped)
                && let Some(dir) = &config.checkpoints
            {
                state.observer = observer.save();
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
        warnings: state.warnings,
        checkpoint,
    })
}

/// State of a batch's embeddings.
fn health_of(embedding: Tensor<2>, batch: &Batch, data: TrainData<'_>, step: usize) -> Result<Health, TrainError> {
    // Labels that the method itself may not see tell here how many of its negatives are false.
    let labels = data.dataset.labels.as_deref().unwrap_or_default();
    let labels: Vec<usize> = batch.indices.iter().filter_map(|i| labels.get(*i).copied()).collect();
    Ok(Health::of_views(&host_matrix(embedding, step)?, batch.len(), &labels))
}

/// Mean loss of the epoch that ends, noted with what it warns of: each kind of trouble once.
fn end_epoch<M: Method>(
    method: &M,
    health: Health,
    images: usize,
    state: &mut State,
    observer: &mut dyn Observer,
) -> f64 {
    let mean = state.pending.iter().sum::<f64>() / state.pending.len().max(1) as f64;
    state.pending.clear();
    state.losses.push(mean);
    let found = Warning::find(health, mean, method.collapsed_loss(images), method.remedy(), state.step);
    if let Some(warning) = found {
        let known = |w: &Warning| std::mem::discriminant(w) == std::mem::discriminant(&warning);
        if !state.warnings.iter().any(known) {
            observer.warning(&warning);
            state.warnings.push(warning);
        }
    }
    mean
}
