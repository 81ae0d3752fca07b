//! What is done to single numbers and rows: the exponential, the activation, softmax, and the layers' normalisation.

use pulp::{Simd, WithSimd};

/// e to the power of `x`, within two units of the last place; 0 far below, and bounded far above.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |number| simd.splat_f32s(number);
    let x = simd.max_f32s(simd.min_f32s(x, splat(88.0)), splat(-87.0));
    // x = n ln 2 + r. Adding and taking away 1.5 · 2^23 rounds to the whole number n, which then stands in the low bits.
    let round = splat(12_582_912.0);
    let shifted = simd.mul_add_e_f32s(x, splat(std::f32::consts::LOG2_E), round);
    let n = simd.sub_f32s(shifted, round);
    // ln 2 in two parts, the first with so few digits that n times it is exact.
    let r = simd.mul_add_e_f32s(n, splat(-0.693_359_4), x);
    let r = simd.mul_add_e_f32s(n, splat(2.121_944_4e-4), r);
    // The minimax polynomial of Cephes for e^r on ±ln 2 / 2.
    let mut p = splat(1.987_569_1e-4);
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = simd.mul_add_e_f32s(p, r, splat(coefficient));
    }
    let p = simd.mul_add_e_f32s(simd.mul_f32s(p, r), r, simd.add_f32s(r, splat(1.0)));
    // Times 2^n: n is added to the exponent's bits.
    let n = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(p), n))
}

/// The activation x · Φ(x), with Φ the normal distribution: its error function by Abramowitz and Stegun 7.1.26, whose
/// error is below 1.5e-7.
#[inline(always)]
pub fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |number| simd.splat_f32s(number);
    let magnitude = simd.max_f32s(x, simd.sub_f32s(splat(0.0), x));
    let z = simd.mul_f32s(magnitude, splat(std::f32::consts::FRAC_1_SQRT_2));
    let t = simd.div_f32s(splat(1.0), simd.mul_add_e_f32s(z, splat(0.327_591_1), splat(1.0)));
    let mut p = splat(1.061_405_4);
    for coefficient in [-1.453_152, 1.421_413_8, -0.284_496_74, 0.254_829_6] {
        p = simd.mul_add_e_f32s(p, t, splat(coefficient));
    }
    let tail = simd.mul_f32s(simd.mul_f32s(p, t), exp(simd, simd.mul_f32s(z, simd.sub_f32s(splat(0.0), z))));
    // Φ(x) is 1 − tail / 2 for positive x, and tail / 2 for negative.
    let half = simd.mul_f32s(tail, splat(0.5));
    let phi = simd.select_f32s(simd.less_than_f32s(x, splat(0.0)), half, simd.sub_f32s(splat(1.0), half));
    simd.mul_f32s(x, phi)
}

/// Softmax of the first `length` numbers of each row; rows begin `stride` numbers apart.
pub struct Softmax<'a> {
    pub rows: &'a mut [f32],
    pub stride: usize,
    pub length: usize,
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for row in self.rows.chunks_exact_mut(self.stride) {
            let (heads, tail) = S::as_mut_simd_f32s(&mut row[..self.length]);
            let mut most = simd.splat_f32s(f32::MIN);
            for head in heads.iter() {
                most = simd.max_f32s(most, *head);
            }
            let most = tail.iter().fold(simd.reduce_max_f32s(most), |most, number| most.max(*number));

            let most = simd.splat_f32s(most);
            let mut sum = simd.splat_f32s(0.0);
            for head in heads.iter_mut() {
                *head = exp(simd, simd.sub_f32s(*head, most));
                sum = simd.add_f32s(sum, *head);
            }
            let rest = exp(simd, simd.sub_f32s(simd.partial_load_f32s(tail), most));
            simd.partial_store_f32s(tail, rest);
            let sum = tail.iter().fold(simd.reduce_sum_f32s(sum), |sum, number| sum + number);

            let share = 1.0 / sum;
            for head in heads.iter_mut() {
                *head = simd.mul_f32s(*head, simd.splat_f32s(share));
            }
            tail.iter_mut().for_each(|number| *number *= share);
        }
    }
}

/// Brings each row to mean 0 and variance 1, then scales and shifts it by what was learnt.
pub struct Normalise<'a> {
    pub rows: &'a mut [f32],
    pub scale: &'a [f32],
    pub shift: &'a [f32],
    pub epsilon: f32,
}

impl WithSimd for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let length = self.scale.len() as f32;
        let (scales, scales_tail) = S::as_simd_f32s(self.scale);
        let (shifts, shifts_tail) = S::as_simd_f32s(self.shift);
        for row in self.rows.chunks_exact_mut(self.scale.len()) {
            let (heads, tail) = S::as_mut_simd_f32s(row);
            let mut sum = simd.splat_f32s(0.0);
            for head in heads.iter() {
                sum = simd.add_f32s(sum, *head);
            }
            let mean = (simd.reduce_sum_f32s(sum) + tail.iter().sum::<f32>()) / length;

            let middle = simd.splat_f32s(mean);
            let mut squares = simd.splat_f32s(0.0);
            for head in heads.iter_mut() {
                *head = simd.sub_f32s(*head, middle);
                squares = simd.mul_add_e_f32s(*head, *head, squares);
            }
            let mut rest = 0.0;
            for number in tail.iter_mut() {
                *number -= mean;
                rest += *number * *number;
            }
            let variance = (simd.reduce_sum_f32s(squares) + rest) / length;

            let factor = 1.0 / (variance + self.epsilon).sqrt();
            let factors = simd.splat_f32s(factor);
            for ((head, scale), shift) in heads.iter_mut().zip(scales).zip(shifts) {
                *head = simd.mul_add_e_f32s(simd.mul_f32s(*head, factors), *scale, *shift);
            }
            for ((number, scale), shift) in tail.iter_mut().zip(scales_tail).zip(shifts_tail) {
                *number = *number * factor * scale + shift;
            }
        }
    }
}
