package btyd

import "context"

// Climb is the log-likelihood at which the search for a fit ends that starts at theta, in the units of the search: time in
// mean ages.
func Climb(ctx context.Context, family string, rows []Weighted, theta [4]float64) (float64, error) {
	o := Options{}.withDefaults()
	c, report, err := newCohort(rows, o, family)
	if err != nil {
		return 0, err
	}
	of := map[string]objective{FamilyBGNBD: bgObjective{c, 0}, FamilyMBGNBD: bgObjective{c, 1}, FamilyParetoNBD: paretoObjective{c}}[family]
	end, err := climb(ctx, of, theta, &report.Evaluations, o.MaxEvaluations)
	if err != nil {
		return 0, err
	}
	c.finish(&report, end, [maxParams]string{}, [maxParams]float64{})
	return report.LogLikelihood, nil
}
