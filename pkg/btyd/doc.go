// Package btyd fits "buy till you die" models of customers without a contract
// and predicts from them: who is still a customer, how many purchases are to
// come, how likely none is, and what they are worth.
//
//   - BG/NBD ([BGNBD]): P. S. Fader, B. G. S. Hardie and K. L. Lee, "Counting
//     Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model,
//     Marketing Science 24(2), 275-284 (2005).
//   - MBG/NBD ([MBGNBD]): E. P. Batislam, M. Denizel and A. Filiztekin,
//     Empirical validation and comparison of models for customer base analysis,
//     International Journal of Research in Marketing 24(3), 201-209 (2007).
//   - Pareto/NBD ([ParetoNBD]): D. C. Schmittlein, D. G. Morrison and
//     R. Colombo, Counting Your Customers: Who Are They and What Will They Do
//     Next?, Management Science 33(1), 1-24 (1987).
//   - Gamma-Gamma ([GammaGamma]) for the value of a purchase: P. S. Fader,
//     B. G. S. Hardie and K. L. Lee, RFM and CLV: Using Iso-Value Curves for
//     Customer Base Analysis, Journal of Marketing Research 42, 415-430 (2005);
//     Fader and Hardie, The Gamma-Gamma Model of Monetary Value, note 025 (2013).
//
// # From transactions to a prediction
//
// [Summarize] turns purchases into one [Customer] each, [Distinct] joins equal
// histories, [FitMBGNBD] and its siblings estimate a model, [FitGammaGamma] the
// value of a purchase, and [Predict] scores everybody at once. Time has the unit
// the histories have, and every time given to a model fitted to them has it too;
// [Summarize] and the published figures use weeks. Money has the unit it is given in.
//
// # Chance of buying nothing
//
// [Model.PNoPurchase] is the chance that no purchase falls within the horizon.
// 1 - [Model.PAlive] is another thing and no measure of churn: a customer who
// is alive and buys once in three years will hardly buy within the next month.
//
// # What a fit says
//
// A fit is deterministic: the same histories, in any order, give bit-equal
// parameters whatever the number of processors. It ends after a bounded number
// of evaluations, and its parameters are finite. How it ended is the [Diagnosis]
// of its [Report]; what makes a fit impossible is an error with a stable code,
// see [Error] and [RowError].
package btyd
