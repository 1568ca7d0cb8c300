//! Any method trained by gradient descent as a value of one type.
//!
//! The training loop would otherwise be compiled once for every method, and what owns two of them (`Joint`) once for every
//! pair.

/// Declares `AnyMethod`, `AnyModel` and `AnyMemory` over a list of variants and the settings that are their methods.
/// Networks and memory are those that the method of the same variant built. The trait `Method` must be in scope.
macro_rules! any_method {
    ($($variant:ident: $settings:ty,)*) => {
        /// One of the methods trained by gradient descent.
        #[derive(Clone, Debug)]
        #[allow(missing_docs)]
        pub enum AnyMethod {
            $($variant($settings),)*
        }

        /// The networks of one of the methods.
        #[derive(burn::module::Module, Debug)]
        // One model lives a whole run, and modules cannot be boxed.
        #[allow(missing_docs, clippy::large_enum_variant)]
        pub enum AnyModel {
            $($variant(<$settings as Method>::Model),)*
        }

        /// The memory of one of the methods.
        #[derive(burn::module::Module, Debug)]
        #[allow(missing_docs, clippy::large_enum_variant)]
        pub enum AnyMemory {
            $($variant(<$settings as Method>::Memory),)*
        }

        impl Method for AnyMethod {
            type Model = AnyModel;
            type Memory = AnyMemory;

            fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(method) => method.name(),)*
                }
            }

            fn needs(&self) -> nearfar_core::train::Needs {
                match self {
                    $(Self::$variant(method) => method.needs(),)*
                }
            }

            fn small_crops(&self) -> Option<nearfar_core::augment::SmallCrops> {
                match self {
                    $(Self::$variant(method) => method.small_crops(),)*
                }
            }

            fn build(
                &self,
                encoder: nearfar_core::encoder::Encoder,
                features: usize,
                seed: u64,
                device: &burn::tensor::Device,
            ) -> (AnyModel, AnyMemory) {
                match self {
                    $(Self::$variant(method) => {
                        let (model, memory) = method.build(encoder, features, seed, device);
                        (AnyModel::$variant(model), AnyMemory::$variant(memory))
                    })*
                }
            }

            fn objective(
                &self,
                model: &AnyModel,
                memory: &mut AnyMemory,
                batch: &nearfar_core::train::Batch,
                at: nearfar_core::train::Progress,
            ) -> Result<nearfar_core::train::Objective, nearfar_core::train::BatchError> {
                match (self, model, memory) {
                    $((Self::$variant(method), AnyModel::$variant(model), AnyMemory::$variant(memory)) => {
                        method.objective(model, memory, batch, at)
                    })*
                    _ => unreachable!("networks and memory of another method than {}", self.name()),
                }
            }

            fn after_step(
                &self,
                model: &AnyModel,
                memory: AnyMemory,
                at: nearfar_core::train::Progress,
            ) -> AnyMemory {
                match (self, model, memory) {
                    $((Self::$variant(method), AnyModel::$variant(model), AnyMemory::$variant(memory)) => {
                        AnyMemory::$variant(method.after_step(model, memory, at))
                    })*
                    _ => unreachable!("networks and memory of another method than {}", self.name()),
                }
            }

            fn encoder<'a>(&self, model: &'a AnyModel) -> &'a nearfar_core::encoder::Encoder {
                match (self, model) {
                    $((Self::$variant(method), AnyModel::$variant(model)) => method.encoder(model),)*
                    _ => unreachable!("networks of another method than {}", self.name()),
                }
            }

            fn components(&self, model: &AnyModel) -> Option<burn::tensor::Tensor<2>> {
                match (self, model) {
                    $((Self::$variant(method), AnyModel::$variant(model)) => method.components(model),)*
                    _ => unreachable!("networks of another method than {}", self.name()),
                }
            }

            fn constant_rate(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant(method) => method.constant_rate(),)*
                }
            }

            fn collapsed_loss(&self, n: usize) -> Option<f64> {
                match self {
                    $(Self::$variant(method) => method.collapsed_loss(n),)*
                }
            }

            fn remedy(&self) -> &'static str {
                match self {
                    $(Self::$variant(method) => method.remedy(),)*
                }
            }

            fn compares_batch(&self) -> bool {
                match self {
                    $(Self::$variant(method) => method.compares_batch(),)*
                }
            }

            fn staged(&self) -> Option<&dyn nearfar_core::train::Staged<AnyModel, AnyMemory>> {
                let offered = match self {
                    $(Self::$variant(method) => method.staged().is_some(),)*
                };
                offered.then_some(self as _)
            }
        }

        /// The stages of the method, if it has any: `AnyMethod::staged` hands out no other.
        impl nearfar_core::train::Staged<AnyModel, AnyMemory> for AnyMethod {
            fn prepare(&self, model: &AnyModel, memory: &mut AnyMemory, at: nearfar_core::train::Progress) {
                match (self, model, memory) {
                    $((Self::$variant(method), AnyModel::$variant(model), AnyMemory::$variant(memory)) => {
                        method.staged().expect("the method has stages").prepare(model, memory, at);
                    })*
                    _ => unreachable!("networks and memory of another method than {}", self.name()),
                }
            }

            fn embed(&self, model: &AnyModel, views: &[burn::tensor::Tensor<4>]) -> Vec<burn::tensor::Tensor<2>> {
                match (self, model) {
                    $((Self::$variant(method), AnyModel::$variant(model)) => {
                        method.staged().expect("the method has stages").embed(model, views)
                    })*
                    _ => unreachable!("networks of another method than {}", self.name()),
                }
            }

            fn targets(
                &self,
                memory: &AnyMemory,
                views: &[burn::tensor::Tensor<4>],
                at: nearfar_core::train::Progress,
            ) -> Vec<burn::tensor::Tensor<2>> {
                match (self, memory) {
                    $((Self::$variant(method), AnyMemory::$variant(memory)) => {
                        method.staged().expect("the method has stages").targets(memory, views, at)
                    })*
                    _ => unreachable!("memory of another method than {}", self.name()),
                }
            }

            fn loss(
                &self,
                model: &AnyModel,
                memory: &mut AnyMemory,
                batch: &nearfar_core::train::Embedded<'_>,
                at: nearfar_core::train::Progress,
            ) -> Result<burn::tensor::Tensor<1>, nearfar_core::train::BatchError> {
                match (self, model, memory) {
                    $((Self::$variant(method), AnyModel::$variant(model), AnyMemory::$variant(memory)) => {
                        method.staged().expect("the method has stages").loss(model, memory, batch, at)
                    })*
                    _ => unreachable!("networks and memory of another method than {}", self.name()),
                }
            }
        }
    };
}

pub(super) use any_method;
