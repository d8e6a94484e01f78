package components

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// How a setting is judged.
const (
	fine = iota
	refused
	unknown
)

func (r Rule) validateJudgement() error {
	says := len(r.Supported)+len(r.Refused)+len(r.Required)+len(r.Ends)+len(r.Alpha) > 0 || r.AtLeast != nil || r.AtMost != nil
	switch {
	case r.Policy == "" && (says || r.Want != "" || r.Flag != "" || r.Age != ""):
		return errors.New("only policy judges values")
	case r.Policy != "" && !says:
		return errors.New("policy wants one of supported, refused, atLeast, atMost, required, ends and alpha")
	case r.Flag != "" && !strings.HasPrefix(r.Flag, "--"):
		return fmt.Errorf("flag: %q does not begin with --", r.Flag)
	case r.Age != "" && r.AtMost == nil:
		return errors.New("age: atMost days are missing")
	case len(r.Required) > 0 && r.Component == "":
		return errors.New("required: whose settings? component is missing")
	}
	if form, err := regexp.Compile(r.Age); err != nil || r.Age != "" && form.NumSubexp() != 3 {
		return fmt.Errorf("age: %q is no regular expression with three groups", r.Age)
	}
	for minor, end := range r.Ends {
		if _, err := time.Parse(time.DateOnly, end); err != nil || !minorVersion(minor) {
			return fmt.Errorf("ends: %s: %s is no minor version with a date like 2026-09-30", minor, end)
		}
	}
	for gate, left := range r.Alpha {
		if left != "" && !minorVersion(left) {
			return fmt.Errorf("alpha: %s: %q is no minor version like 1.33", gate, left)
		}
	}
	return nil
}

// verdict judges a value. What is wanted is said for one that is refused, and why
// nobody can tell for one that is unknown.
func (s *scene) verdict(r Rule, key, text string) (want string, verdict int) {
	switch {
	case len(r.Ends) > 0:
		return r.supportOf(text, s.now)
	case len(r.Alpha) > 0:
		return r.want("off"), verdictOf(text != "true" || !s.inAlpha(r.Alpha, key))
	case r.Age != "":
		age, ok := r.days(text, s.now)
		return r.want(fmt.Sprintf("at most %g days old", *r.AtMost)), verdictOf(!ok || age <= *r.AtMost)
	case len(r.Supported) > 0 && !matchesAny(r.Supported, text):
		return r.want(strings.Join(r.Supported, " or ")), refused
	case matchesAny(r.Refused, text):
		return r.want("not " + strings.Join(r.Refused, " or ")), refused
	case r.outOfRange(text):
		return r.want(r.ranges()), refused
	default:
		return "", fine
	}
}

func verdictOf(supported bool) int {
	if supported {
		return fine
	}
	return refused
}

func (r Rule) want(otherwise string) string {
	if r.Want != "" {
		return r.Want
	}
	return otherwise
}

// outOfRange: what is no number is in no range that it could leave.
func (r Rule) outOfRange(text string) bool {
	n, err := strconv.ParseFloat(text, 64)
	return err == nil && (r.AtLeast != nil && n < *r.AtLeast || r.AtMost != nil && n > *r.AtMost)
}

func (r Rule) ranges() string {
	switch {
	case r.AtLeast != nil && r.AtMost != nil:
		return fmt.Sprintf("%g to %g", *r.AtLeast, *r.AtMost)
	case r.AtLeast != nil:
		return fmt.Sprintf("at least %g", *r.AtLeast)
	default:
		return fmt.Sprintf("at most %g", *r.AtMost)
	}
}

// days are how long ago the date in a text is; not ok where there is none.
func (r Rule) days(text string, now time.Time) (float64, bool) {
	form, err := regexp.Compile(r.Age)
	if err != nil {
		return 0, false
	}
	m := form.FindStringSubmatch(text)
	if len(m) != 4 {
		return 0, false
	}
	date, err := time.Parse(time.DateOnly, m[1]+"-"+m[2]+"-"+m[3])
	return now.Sub(date).Hours() / 24, err == nil
}

// supportOf judges a version by the end of its support: the day itself still counts.
// One that is newer than the table is supported for longer than the newest of it.
func (r Rule) supportOf(version string, now time.Time) (want string, verdict int) {
	minor := semver.MajorMinor(version)
	if minor == "" {
		return "", fine
	}
	newest := slices.MaxFunc(slices.Collect(maps.Keys(r.Ends)), func(a, b string) int { return semver.Compare("v"+a, "v"+b) })
	end, listed := r.Ends[strings.TrimPrefix(minor, "v")]
	switch {
	case listed:
		return "a version that is supported; this one was until " + end, verdictOf(!passed(end, now))
	case semver.Compare(minor, "v"+newest) < 0:
		return "a version that is supported", refused
	case passed(r.Ends[newest], now):
		return "until when " + strings.TrimPrefix(minor, "v") + " is supported is not known", unknown
	default:
		return "", fine
	}
}

func passed(date string, now time.Time) bool {
	day, err := time.Parse(time.DateOnly, date)
	return err == nil && !now.Before(day.AddDate(0, 0, 1))
}

// inAlpha tells whether the gate is alpha in the kubelet that runs here.
func (s *scene) inAlpha(gates map[string]string, key string) bool {
	left, listed := gates[key]
	version := s.kubeletVersion()
	return listed && (left == "" || version != "" && semver.Compare(semver.MajorMinor(version), "v"+left) < 0)
}
