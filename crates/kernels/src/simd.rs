//! Lanes of AVX-512, AVX2, NEON and portable code, chosen at run time, and the two register tiles that convolution is
//! made of.
//!
//! Both tiles multiply one broadcast operand with [`COLUMN_VECTORS`] vectors of the other and keep all their sums in
//! registers. No matrix is built: an operand is addressed by a base pointer and a list of offsets ("indirect" GEMM),
//! which serves every kernel size and stride and both gradients alike.

/// Vectors side by side in a tile: two hide the latency of a fused multiply-add without running out of registers.
const COLUMN_VECTORS: usize = 2;

/// A lane type with the operations that the kernels need.
pub(crate) trait Simd: Copy {
    const LANES: usize;
    /// # Safety
    /// `p` must be valid for reading `LANES` values.
    unsafe fn load(p: *const f32) -> Self;
    /// # Safety
    /// `p` must be valid for writing `LANES` values.
    unsafe fn store(self, p: *mut f32);
    /// # Safety
    /// The CPU must have the instructions of this implementation.
    unsafe fn splat(v: f32) -> Self;
    /// `self + a * b`.
    ///
    /// # Safety
    /// The CPU must have the instructions of this implementation.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;
    /// `self + a`.
    ///
    /// # Safety
    /// The CPU must have the instructions of this implementation.
    unsafe fn add(self, a: Self) -> Self;
    /// `self - a`.
    ///
    /// # Safety
    /// The CPU must have the instructions of this implementation.
    unsafe fn sub(self, a: Self) -> Self;
}

#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 8]);

impl Simd for Portable {
    const LANES: usize = 8;
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller guarantees 8 readable values.
        Self(unsafe { p.cast::<[f32; 8]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller guarantees 8 writable values.
        unsafe { p.cast::<[f32; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        Self([v; 8])
    }
    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // Not `f32::mul_add`: without an FMA instruction that is a library call for every lane.
        Self(std::array::from_fn(|i| self.0[i] + a.0[i] * b.0[i]))
    }
    #[inline(always)]
    unsafe fn add(self, a: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + a.0[i]))
    }
    #[inline(always)]
    unsafe fn sub(self, a: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] - a.0[i]))
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod x86 {
    use super::Simd;
    use std::arch::x86_64::*;

    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256);
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512);

    impl Simd for Avx2 {
        const LANES: usize = 8;
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            // SAFETY: the caller guarantees 8 readable values and AVX.
            Self(unsafe { _mm256_loadu_ps(p) })
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            // SAFETY: the caller guarantees 8 writable values and AVX.
            unsafe { _mm256_storeu_ps(p, self.0) }
        }
        #[inline(always)]
        unsafe fn splat(v: f32) -> Self {
            // SAFETY: the caller guarantees AVX.
            Self(unsafe { _mm256_set1_ps(v) })
        }
        #[inline(always)]
        unsafe fn mul_add(self, a: Self, b: Self) -> Self {
            // SAFETY: the caller guarantees FMA.
            Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
        }
        #[inline(always)]
        unsafe fn add(self, a: Self) -> Self {
            // SAFETY: the caller guarantees AVX.
            Self(unsafe { _mm256_add_ps(self.0, a.0) })
        }
        #[inline(always)]
        unsafe fn sub(self, a: Self) -> Self {
            // SAFETY: the caller guarantees AVX.
            Self(unsafe { _mm256_sub_ps(self.0, a.0) })
        }
    }

    impl Simd for Avx512 {
        const LANES: usize = 16;
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            // SAFETY: the caller guarantees 16 readable values and AVX-512F.
            Self(unsafe { _mm512_loadu_ps(p) })
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            // SAFETY: the caller guarantees 16 writable values and AVX-512F.
            unsafe { _mm512_storeu_ps(p, self.0) }
        }
        #[inline(always)]
        unsafe fn splat(v: f32) -> Self {
            // SAFETY: the caller guarantees AVX-512F.
            Self(unsafe { _mm512_set1_ps(v) })
        }
        #[inline(always)]
        unsafe fn mul_add(self, a: Self, b: Self) -> Self {
            // SAFETY: the caller guarantees AVX-512F.
            Self(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
        }
        #[inline(always)]
        unsafe fn add(self, a: Self) -> Self {
            // SAFETY: the caller guarantees AVX-512F.
            Self(unsafe { _mm512_add_ps(self.0, a.0) })
        }
        #[inline(always)]
        unsafe fn sub(self, a: Self) -> Self {
            // SAFETY: the caller guarantees AVX-512F.
            Self(unsafe { _mm512_sub_ps(self.0, a.0) })
        }
    }
}

/// Two 128-bit registers act as one lane type, so that a tile has the shape that it has with AVX2.
#[cfg(target_arch = "aarch64")]
pub(crate) mod arm {
    use super::Simd;
    use std::arch::aarch64::*;

    #[derive(Clone, Copy)]
    pub(crate) struct Neon(float32x4_t, float32x4_t);

    // SAFETY of every block: NEON belongs to each aarch64 CPU; addresses are the caller's guarantee.
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Simd for Neon {
        const LANES: usize = 8;
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            unsafe { Self(vld1q_f32(p), vld1q_f32(p.add(4))) }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            unsafe {
                vst1q_f32(p, self.0);
                vst1q_f32(p.add(4), self.1);
            }
        }
        #[inline(always)]
        unsafe fn splat(v: f32) -> Self {
            unsafe { Self(vdupq_n_f32(v), vdupq_n_f32(v)) }
        }
        #[inline(always)]
        unsafe fn mul_add(self, a: Self, b: Self) -> Self {
            unsafe { Self(vfmaq_f32(self.0, a.0, b.0), vfmaq_f32(self.1, a.1, b.1)) }
        }
        #[inline(always)]
        unsafe fn add(self, a: Self) -> Self {
            unsafe { Self(vaddq_f32(self.0, a.0), vaddq_f32(self.1, a.1)) }
        }
        #[inline(always)]
        unsafe fn sub(self, a: Self) -> Self {
            unsafe { Self(vsubq_f32(self.0, a.0), vsubq_f32(self.1, a.1)) }
        }
    }
}

/// Most pixels (or weight rows) that a tile of any instruction set has.
pub(crate) const MAX_TILE: usize = 12;

/// An instruction set, found once per process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Level {
    /// The best level of this CPU.
    pub(crate) fn detect() -> Self {
        static LEVEL: std::sync::OnceLock<Level> = std::sync::OnceLock::new();
        *LEVEL.get_or_init(|| Self::available().pop().unwrap_or(Self::Portable))
    }

    /// Every level of this CPU, best last.
    pub(crate) fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut levels = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Self::Avx2);
                // The compiler takes AVX2 and FMA for part of AVX-512; a hypervisor can hide them alone.
                if is_x86_feature_detected!("avx512f") {
                    levels.push(Self::Avx512);
                }
            }
        }
        #[cfg(target_arch = "aarch64")]
        levels.push(Self::Neon);
        levels
    }

    /// Pixels (or weight rows) of a tile: with two vectors a row, the sums fill three quarters of the register file.
    pub(crate) fn rows(self) -> usize {
        match self {
            Self::Portable => 4,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 6,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 12,
            #[cfg(target_arch = "aarch64")]
            Self::Neon => 6,
        }
    }

    /// Values of a lane type.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Self::Portable => Portable::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => x86::Avx2::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => x86::Avx512::LANES,
            #[cfg(target_arch = "aarch64")]
            Self::Neon => arm::Neon::LANES,
        }
    }

    /// Output columns of a tile.
    pub(crate) fn columns(self) -> usize {
        COLUMN_VECTORS * self.lanes()
    }
}

/// Calls `f::<S>(..)`, or `f::<S, ROWS>(..)` with `rows`, for the lane type `S` of a level, with the level's
/// instructions enabled inside `f`, which must be `#[inline(always)]`. An unsafe operation: the level must come from
/// [`Level::available`], and `f`'s own conditions hold.
macro_rules! at_level {
    ($level:expr, $f:ident, ($($arg:ident: $ty:ty),* $(,)?)) => {
        $crate::simd::at_level!(@ $level, $f, [], [], [], ($($arg: $ty),*))
    };
    ($level:expr, $f:ident with rows, ($($arg:ident: $ty:ty),* $(,)?)) => {
        $crate::simd::at_level!(@ $level, $f, [, 4], [, 6], [, 12], ($($arg: $ty),*))
    };
    (@ $level:expr, $f:ident, [$($p:tt)*], [$($m:tt)*], [$($l:tt)*], ($($arg:ident: $ty:ty),*)) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        #[allow(clippy::too_many_arguments)]
        unsafe fn avx2($($arg: $ty),*) {
            // SAFETY: the caller's conditions; the instructions are enabled here.
            unsafe { $f::<$crate::simd::x86::Avx2 $($m)*>($($arg),*) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f")]
        #[allow(clippy::too_many_arguments)]
        unsafe fn avx512($($arg: $ty),*) {
            // SAFETY: as above.
            unsafe { $f::<$crate::simd::x86::Avx512 $($l)*>($($arg),*) }
        }
        match $level {
            $crate::simd::Level::Portable => $f::<$crate::simd::Portable $($p)*>($($arg),*),
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Level::Avx2 => avx2($($arg),*),
            #[cfg(target_arch = "x86_64")]
            $crate::simd::Level::Avx512 => avx512($($arg),*),
            #[cfg(target_arch = "aarch64")]
            $crate::simd::Level::Neon => $f::<$crate::simd::arm::Neon $($m)*>($($arg),*),
        }
    }};
}
pub(crate) use at_level;

/// A step of the forward tile: where a kernel tap reads, relative to a pixel's own offset, and its packed weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    /// Offset of the tap's first channel from the pixel's.
    pub(crate) input: isize,
    /// Start of the tap's `[channels, columns]` block inside the packed weights of one column block.
    pub(crate) weights: usize,
}

/// `out[p][j] = sum over taps t, channels c of x[pixels[p] + t.input + c] * w[t.weights + c * columns + j]`
/// for a whole tile: `rows()` pixels, `columns()` columns. The rows of `out` lie `out_stride` apart.
///
/// # Safety
/// Every address named by `pixels`, `taps` and `channels` must lie inside the buffers behind `x` and `w`, and every
/// row of `out` inside its own; `level` must come from [`Level::available`].
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe fn conv_tile(
    level: Level,
    x: *const f32,
    pixels: &[usize; MAX_TILE],
    taps: &[Tap],
    channels: usize,
    w: *const f32,
    out: *mut f32,
    out_stride: usize,
) {
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    unsafe fn tile<S: Simd, const P: usize>(
        x: *const f32,
        pixels: &[usize; MAX_TILE],
        taps: &[Tap],
        channels: usize,
        w: *const f32,
        out: *mut f32,
        out_stride: usize,
    ) {
        let columns = COLUMN_VECTORS * S::LANES;
        // SAFETY: the caller of `conv_tile` guarantees every address and the instruction set.
        unsafe {
            let mut sums = [[S::splat(0.0); COLUMN_VECTORS]; P];
            for tap in taps {
                let rows: [*const f32; P] = std::array::from_fn(|p| x.add(pixels[p]).offset(tap.input));
                let mut weights = w.add(tap.weights);
                for c in 0..channels {
                    let b0 = S::load(weights);
                    let b1 = S::load(weights.add(S::LANES));
                    weights = weights.add(columns);
                    for p in 0..P {
                        let a = S::splat(*rows[p].add(c));
                        sums[p][0] = sums[p][0].mul_add(a, b0);
                        sums[p][1] = sums[p][1].mul_add(a, b1);
                    }
                }
            }
            for (p, row) in sums.iter().enumerate() {
                row[0].store(out.add(p * out_stride));
                row[1].store(out.add(p * out_stride + S::LANES));
            }
        }
    }

    // SAFETY: the caller guarantees the addresses, and `level` that the CPU has the instructions.
    unsafe {
        at_level!(level, tile with rows, (
            x: *const f32,
            pixels: &[usize; MAX_TILE],
            taps: &[Tap],
            channels: usize,
            w: *const f32,
            out: *mut f32,
            out_stride: usize,
        ))
    }
}

/// Runs of consecutive pixels that the weight-gradient tile sums over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Offset of the run's first pixel in the (padded) input.
    pub(crate) input: usize,
    /// Offset of the run's first pixel in the output gradient.
    pub(crate) grad: usize,
    /// Pixels of the run.
    pub(crate) len: usize,
}

/// How far apart neighbours of a run lie, in the input and in the gradient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strides {
    pub(crate) input: usize,
    pub(crate) grad: usize,
}

/// `acc[r][j] += sum over pixels of x[pixel + rows[r]] * g[pixel + j]` for `rows()` weight rows and `columns()`
/// columns. `acc` is the tile, row after row.
///
/// # Safety
/// As [`conv_tile`]; `g` must be readable for `columns()` values at every pixel.
pub(crate) unsafe fn weight_tile(
    level: Level,
    x: *const f32,
    rows: &[usize; MAX_TILE],
    g: *const f32,
    runs: &[Run],
    strides: Strides,
    acc: *mut f32,
) {
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize>(
        x: *const f32,
        rows: &[usize; MAX_TILE],
        g: *const f32,
        runs: &[Run],
        strides: Strides,
        acc: *mut f32,
    ) {
        let columns = COLUMN_VECTORS * S::LANES;
        // SAFETY: the caller of `weight_tile` guarantees every address and the instruction set.
        unsafe {
            let mut sums: [[S; COLUMN_VECTORS]; R] =
                std::array::from_fn(|r| std::array::from_fn(|v| S::load(acc.add(r * columns + v * S::LANES))));
            for run in runs {
                let bases: [*const f32; R] = std::array::from_fn(|r| x.add(run.input + rows[r]));
                let mut grad = g.add(run.grad);
                let mut step = 0;
                for _ in 0..run.len {
                    let b0 = S::load(grad);
                    let b1 = S::load(grad.add(S::LANES));
                    for r in 0..R {
                        let a = S::splat(*bases[r].add(step));
                        sums[r][0] = sums[r][0].mul_add(a, b0);
                        sums[r][1] = sums[r][1].mul_add(a, b1);
                    }
                    grad = grad.add(strides.grad);
                    step += strides.input;
                }
            }
            for (r, row) in sums.iter().enumerate() {
                row[0].store(acc.add(r * columns));
                row[1].store(acc.add(r * columns + S::LANES));
            }
        }
    }

    // SAFETY: the caller guarantees the addresses, and `level` that the CPU has the instructions.
    unsafe {
        at_level!(level, tile with rows, (
            x: *const f32,
            rows: &[usize; MAX_TILE],
            g: *const f32,
            runs: &[Run],
            strides: Strides,
            acc: *mut f32,
        ))
    }
}

/// Defines functions whose plain loops are compiled once for each instruction set and chosen at run time.
macro_rules! vectorized {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block)*) => {$(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $ty),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) {
                    body($($arg),*);
                }
                #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) {
                    body($($arg),*);
                }
                match $crate::simd::Level::detect() {
                    // SAFETY: `detect` found AVX2 and FMA.
                    $crate::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::simd::Level::Avx512 if is_x86_feature_detected!("avx512vl") => {
                        // SAFETY: `detect` found AVX-512F, the guard its vector-length extension; both imply AVX2.
                        return unsafe { avx512($($arg),*) };
                    }
                    _ => {}
                }
            }
            body($($arg),*);
        }
    )*};
}
pub(crate) use vectorized;
