package components

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// canonical spells a scalar of YAML, TOML or JSON in the one way that equal
// values share. name is the key it stands under.
func canonical(name string, v any) string {
	switch v := v.(type) {
	case string:
		return canonicalString(name, v)
	case json.Number:
		return canonicalNumber(v)
	case float32:
		return canonicalFloat(float64(v))
	case float64:
		return canonicalFloat(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	default:
		return fmt.Sprint(v)
	}
}

func canonicalNumber(n json.Number) string {
	if i, ok := new(big.Int).SetString(n.String(), 10); ok {
		return i.String()
	}
	f, err := n.Float64()
	if err != nil {
		return n.String()
	}
	return canonicalFloat(f)
}

func canonicalFloat(f float64) string {
	if math.Abs(f) < 1e15 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

var (
	wholeFraction = regexp.MustCompile(`^-?[0-9]{1,18}\.0+$`)
	duration      = regexp.MustCompile(`^-?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`)
	quantity      = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,9})?)([KMGTPE]i|[kMGTPE])$`)
	cores         = regexp.MustCompile(`^([0-9]{1,9}(?:\.[0-9]{1,3})?)(m?)$`)
)

// canonicalString spells switches, durations and quantities alike. "100m" of cpu
// is a tenth of a core, everywhere else it is 100 minutes.
func canonicalString(name, s string) string {
	switch {
	case strings.EqualFold(s, "true"), strings.EqualFold(s, "false"):
		return strings.ToLower(s)
	case name == "cpu" && cores.MatchString(s):
		return canonicalCores(cores.FindStringSubmatch(s))
	case wholeFraction.MatchString(s):
		whole, _, _ := strings.Cut(s, ".")
		return whole
	case duration.MatchString(s):
		return canonicalDuration(s)
	case quantity.MatchString(s):
		return canonicalQuantity(quantity.FindStringSubmatch(s))
	default:
		return s
	}
}

func canonicalCores(parts []string) string {
	amount, _ := new(big.Rat).SetString(parts[1])
	if parts[2] == "m" {
		amount.Quo(amount, big.NewRat(1000, 1))
	}
	milli := new(big.Rat).Mul(amount, big.NewRat(1000, 1))
	if amount.IsInt() || !milli.IsInt() {
		return amount.RatString()
	}
	return milli.RatString() + "m"
}

func canonicalDuration(s string) string {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return s
	case d == 0:
		return "0"
	}
	short := d.String()
	if strings.HasSuffix(short, "m0s") {
		short = strings.TrimSuffix(short, "0s")
	}
	if strings.HasSuffix(short, "h0m") {
		short = strings.TrimSuffix(short, "0m")
	}
	return short
}

type unit struct {
	name  string
	bytes uint64
}

// suffixes are in the order in which a quantity tries to be whole in them.
var suffixes = [...]unit{
	{"Ei", 1 << 60}, {"Pi", 1 << 50}, {"Ti", 1 << 40}, {"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10},
	{"E", 1e18}, {"P", 1e15}, {"T", 1e12}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3},
}

func canonicalQuantity(parts []string) string {
	amount, _ := new(big.Rat).SetString(parts[1])
	for _, u := range suffixes {
		if u.name == parts[2] {
			amount.Mul(amount, new(big.Rat).SetFrac(new(big.Int).SetUint64(u.bytes), big.NewInt(1)))
		}
	}
	if !amount.IsInt() || !amount.Num().IsUint64() {
		return parts[0]
	}
	n := amount.Num().Uint64()
	for _, u := range suffixes {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatUint(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatUint(n, 10)
}
