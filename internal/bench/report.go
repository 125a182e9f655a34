package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// line is one figure.
type line struct{ name, ours, reference, ratio, target, verdict string }

// latency is how long one kind of request takes.
type latency struct {
	name             string
	p50, p99         time.Duration // one after the other
	rate, manyRate   float64       // per second, by one client and by several
	manyP99, allowed time.Duration // allowed is for p99 by one client; 0 for no target
}

// report collects the figures and is printed at the end.
type report struct {
	machine []string
	lines   []line
	timed   []latency
	notes   []string
}

func (r *report) begin(b *bench) {
	machine := fmt.Sprintf("%d cores", runtime.NumCPU())
	if model := procValue("/proc/cpuinfo", "model name"); model != "" {
		machine += " (" + model + ")"
	}
	machine += ", " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	if b.server != nil {
		machine += ", PostgreSQL " + b.server.Version() + durability(b)
	}
	r.machine = append(r.machine, machine)
	if busy := load(); busy != "" {
		r.machine = append(r.machine, "load averages before: "+busy)
	}
	if !b.file.real {
		r.notes = append(r.notes, "The CDNOW file is not in ../shared/data: made-up data of its shape stands in for it.")
	}
}

func durability(b *bench) string {
	if b.durable {
		return " (fsync on)"
	}
	return " (fsync off)"
}

// most takes a ratio that should be at most target.
func (r *report) most(name, ours, reference string, ratio, target float64) {
	r.lines = append(r.lines, line{name, ours, reference, fmt.Sprintf("%.2f", ratio), fmt.Sprintf("<= %g", target),
		verdict(ratio <= target)})
}

// add takes a ratio that should be at least target.
func (r *report) add(name, ours, reference string, ratio, target float64) {
	r.lines = append(r.lines, line{name, ours, reference, fmt.Sprintf("%.2f", ratio), fmt.Sprintf(">= %g", target),
		verdict(ratio >= target)})
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}

func (r *report) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *report) print(out io.Writer) error {
	if busy := load(); busy != "" {
		r.machine = append(r.machine, "load averages after:  "+busy)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\n%s\n\n", strings.Join(r.machine, "\n"))
	if len(r.lines) > 0 {
		fmt.Fprintln(w, "\tkezi\treference\tratio\ttarget\t")
	}
	for _, l := range r.lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", l.name, l.ours, l.reference, l.ratio, l.target, l.verdict)
	}
	fmt.Fprintln(w)
	if err := r.printTimed(w); err != nil {
		return err
	}
	for _, n := range r.notes {
		fmt.Fprintln(w, n)
	}
	return w.Flush()
}

func (r *report) printTimed(w *tabwriter.Writer) error {
	if len(r.timed) == 0 {
		return nil
	}
	if err := w.Flush(); err != nil { // the columns of this table are its own
		return err
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
	fmt.Fprintf(w, "\tp50\tp99\tper second\tp99, %d clients\tper second\ttarget p99\t\n", scaleClients)
	for _, l := range r.timed {
		target, met := "", ""
		if l.allowed > 0 {
			target, met = "<= "+ms(l.allowed), verdict(l.p99 <= l.allowed)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.0f\t%s\t%.0f\t%s\t%s\n", l.name, ms(l.p50), ms(l.p99), l.rate, ms(l.manyP99), l.manyRate, target, met)
	}
	fmt.Fprintln(w)
	return nil
}

// procValue is the value of a "name : value" line of a file in /proc; empty where there is none.
func procValue(path, name string) string {
	b, _ := os.ReadFile(path)
	for l := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// load is the system's load averages: on a machine that does other work the figures are worse than they need be.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	f := strings.Fields(string(b))
	return strings.Join(f[:min(3, len(f))], " ")
}
