//! One view of one image: everything random is drawn first, then the view is computed.

use super::Recipe;
use super::blur::{Blur, BlurBuffers};
use super::color::{self, Adjustment};
use super::draws::Draws;
use super::geometry::{self, Placement, Shape};
use super::normalization::Scaling;
use super::resample::Resampler;

/// Buffers that one thread reuses from image to image.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    resampler: Resampler,
    blur: BlurBuffers,
}

/// The outcome of every draw for one view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plan {
    placement: Placement,
    flip: bool,
    adjustments: Option<[Adjustment; 4]>,
    grayscale: bool,
    blur: Option<Blur>,
    solarize: Option<f32>,
}

impl Plan {
    pub(super) fn draw(recipe: &Recipe, shape: Shape, draws: &mut Draws) -> Self {
        let view = shape.of_view(recipe);
        Self {
            placement: Placement::draw(recipe, shape, draws),
            flip: draws.chance(recipe.flip),
            adjustments: recipe
                .jitter
                .and_then(|jitter| draws.chance(jitter.probability).then(|| color::draw(&jitter, draws))),
            grayscale: draws.chance(recipe.grayscale) && shape.channels == 3,
            blur: recipe.blur.and_then(|blur| {
                draws.chance(blur.probability).then(|| Blur {
                    sigma: draws.uniform(f64::from(blur.sigma.0), f64::from(blur.sigma.1)) as f32,
                    size: blur.kernel_size(view.height.min(view.width)),
                })
            }),
            solarize: recipe
                .solarize
                .and_then(|solarize| draws.chance(solarize.probability).then_some(solarize.threshold)),
        }
    }

    /// Which of flip, jitter, grey, blur and solarization were drawn.
    #[cfg(test)]
    pub(super) fn applied(&self) -> [bool; 5] {
        let Self { flip, adjustments, grayscale, blur, solarize, .. } = self;
        [*flip, adjustments.is_some(), *grayscale, blur.is_some(), solarize.is_some()]
    }

    /// Whether the view only moves pixels, so that normalisation can ride along.
    fn keeps_colors(&self) -> bool {
        self.adjustments.is_none() && !self.grayscale && self.blur.is_none() && self.solarize.is_none()
    }

    /// Computes the view of the bytes `source` of `shape` into `out` of shape `view`, both `[channels, height, width]`.
    pub(super) fn render(
        &self,
        source: &[u8],
        (shape, view): (Shape, Shape),
        scaling: &Scaling,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let place = (self.placement, self.flip);
        if self.keeps_colors() {
            let affines = &scaling.byte_to_normal;
            return geometry::render(source, (shape, view), place, affines, &mut scratch.resampler, out);
        }
        geometry::render(source, (shape, view), place, &scaling.byte_to_unit, &mut scratch.resampler, out);
        if let Some(adjustments) = &self.adjustments {
            color::adjust(out, view.channels, adjustments);
        }
        if self.grayscale {
            color::grayscale(out, view.channels);
        }
        if let Some(blur) = self.blur {
            blur.apply(out, view.height, view.width, &mut scratch.blur);
        }
        if let Some(threshold) = self.solarize {
            color::solarize(out, threshold);
        }
        color::normalize(out, view.plane(), &scaling.unit_to_normal);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ColorJitter, GaussianBlur, Normalization, RandomResizedCrop, Solarize};
    use super::*;

    const GREY: Shape = Shape { channels: 1, height: 1, width: 4 };

    fn still() -> Plan {
        Plan {
            placement: Placement::Whole,
            flip: false,
            adjustments: None,
            grayscale: false,
            blur: None,
            solarize: None,
        }
    }

    fn rendered(plan: Plan, source: &[u8], shape: Shape, mean: f32, std: f32) -> Vec<f32> {
        let statistics = Normalization { mean: vec![mean; shape.channels], std: vec![std; shape.channels] };
        let mut out = vec![f32::NAN; shape.len()];
        plan.render(source, (shape, shape), &Scaling::new(&statistics), &mut Scratch::default(), &mut out);
        out
    }

    fn close(left: &[f32], right: &[f32]) {
        assert_eq!(left.len(), right.len());
        for (a, b) in left.iter().zip(right) {
            assert!((a - b).abs() <= 1e-5, "{left:?} against {right:?}");
        }
    }

    #[test]
    fn the_fused_and_the_stepwise_paths_agree() {
        let source = [0, 51, 102, 255];
        let fused = rendered(Plan { flip: true, ..still() }, &source, GREY, 0.4, 0.5);
        close(&fused, &[1.2, 0.0, -0.4, -0.8]);
        // A neutral jitter takes the other path.
        let neutral = Some([Adjustment::Brightness(1.0); 4]);
        close(&rendered(Plan { flip: true, adjustments: neutral, ..still() }, &source, GREY, 0.4, 0.5), &fused);
    }

    #[test]
    fn operations_apply_in_the_order_of_the_recipe() {
        // 0, 0.2, 0.4, 1 doubled and clamped is 0, 0.4, 0.8, 1; inverted from 0.5 on it is 0, 0.4, 0.2, 0.
        let bright = [Adjustment::Brightness(2.0), Adjustment::Hue(0.0), Adjustment::Hue(0.0), Adjustment::Hue(0.0)];
        let plan = Plan { adjustments: Some(bright), solarize: Some(0.5), ..still() };
        close(&rendered(plan, &[0, 51, 102, 255], GREY, 0.0, 1.0), &[0.0, 0.4, 0.2, 0.0]);
        // Grey before blur: one red pixel of a row of three, luminance 0.2989, spread over its neighbours.
        let shape = Shape { channels: 3, height: 3, width: 3 };
        let mut source = [0; 27];
        source[4] = 255;
        let blur = Some(Blur { sigma: 1.0, size: 3 });
        let view = rendered(Plan { grayscale: true, blur, ..still() }, &source, shape, 0.0, 1.0);
        let centre = 0.2989 * 0.451_863 * 0.451_863;
        close(&[view[4], view[13], view[22]], &[centre; 3]);
    }

    #[test]
    fn certain_operations_are_drawn_and_impossible_ones_are_not() {
        let shape = Shape { channels: 3, height: 20, width: 20 };
        let certain = Recipe {
            crop: Some(RandomResizedCrop { scale: (0.3, 0.5), ..RandomResizedCrop::default() }),
            flip: 1.0,
            jitter: Some(ColorJitter { brightness: 0.4, ..ColorJitter::default() }),
            grayscale: 1.0,
            blur: Some(GaussianBlur { probability: 1.0, ..GaussianBlur::default() }),
            solarize: Some(Solarize { threshold: 0.25, probability: 1.0 }),
            ..Recipe::none()
        };
        for index in 0..50 {
            let plan = Plan::draw(&certain, shape, &mut Draws::new(0, 0, index, 0));
            assert!(matches!(plan.placement, Placement::Window(_)));
            assert!(plan.flip && plan.adjustments.is_some() && plan.grayscale);
            assert_eq!(plan.solarize, Some(0.25));
            assert!(plan.blur.is_some_and(|blur| blur.size == 3 && (0.1..=2.0).contains(&blur.sigma)));
            assert_eq!(Plan::draw(&Recipe::none(), shape, &mut Draws::new(0, 0, index, 0)), still());
        }
        // The kernel is a share of the view: a tenth of 20 pixels is 3 when odd, of 10 it is 1.
        let small = Recipe { size: Some(0.5), ..certain.clone() };
        let plan = Plan::draw(&small, shape, &mut Draws::new(0, 0, 0, 0));
        assert!(plan.blur.is_some_and(|blur| blur.size == 1));
        let grey = Shape { channels: 1, ..shape };
        assert!(!Plan::draw(&certain, grey, &mut Draws::new(0, 0, 0, 0)).grayscale);
    }
}
