package people_test

import (
	"math"
	"testing"
)

// quantile returns a quantile of sorted values.
func quantile(sorted []float64, q float64) float64 { return sorted[int(q*float64(len(sorted)-1))] }

// kolmogorovSmirnov returns the greatest distance between the distributions of two sorted
// samples, and how probable one so great is if they are the same (asymptotically).
func kolmogorovSmirnov(a, b []float64) (d, p float64) {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		at := min(a[i], b[j])
		for i < len(a) && a[i] == at {
			i++
		}
		for j < len(b) && b[j] == at {
			j++
		}
		d = max(d, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	n := math.Sqrt(float64(len(a)) * float64(len(b)) / float64(len(a)+len(b)))
	lambda := (n + 0.12 + 0.11/n) * d
	for k := 1.0; k <= 100; k++ {
		p += 2 * math.Pow(-1, k-1) * math.Exp(-2*k*k*lambda*lambda)
	}
	if lambda < 0.2 { // where the series does not converge
		p = 1
	}
	return d, min(max(p, 0), 1)
}

func TestTheDistanceOfSamples(t *testing.T) {
	rising := func(n int, shift float64) (all []float64) {
		for i := range n {
			all = append(all, float64(i)+shift)
		}
		return all
	}
	for what, c := range map[string]struct {
		a, b         []float64
		d, low, high float64
	}{
		"the same":  {rising(100, 0), rising(100, 0), 0, 1, 1},
		"apart":     {rising(100, 0), rising(100, 100), 1, 0, 1e-9},
		"a bit off": {rising(100, 0), rising(100, 20), 0.2, 0.031, 0.032}, // Numerical Recipes, 14.3.9
	} {
		if d, p := kolmogorovSmirnov(c.a, c.b); math.Abs(d-c.d) > 1e-9 || p < c.low || p > c.high {
			t.Errorf("%s: D = %v, p = %v", what, d, p)
		}
	}
}
