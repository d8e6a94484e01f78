package components

import "testing"

func TestCanonical(t *testing.T) {
	for _, tt := range []struct {
		name string
		same []any
		want string
	}{
		{"maxPods", []any{"110", int64(110), 110.0, uint64(110), "110.0"}, "110"},
		{"syncFrequency", []any{"1m0s", "60s", "1m"}, "1m"},
		{"nodeStatusReportFrequency", []any{"1h0m0s", "60m", "3600s"}, "1h"},
		{"volumeStatsAggPeriod", []any{"0s", "0", int64(0)}, "0"},
		{"streaming", []any{"4h0m0s", "240m"}, "4h"},
		{"memory", []any{"1Gi", "1024Mi", "1048576Ki"}, "1Gi"},
		{"memory", []any{"1500M", "1.5G"}, "1500M"},
		{"cpu", []any{"100m", "0.1"}, "100m"},
		{"cpu", []any{"2000m", "2", "2.0"}, "2"},
		{"failSwapOn", []any{"True", true, "true"}, "true"},
		{"version", []any{"3.10"}, "3.10"},
		{"image", []any{"pause:3.9"}, "pause:3.9"},
		{"evictionHard", []any{"10%"}, "10%"},
	} {
		for _, v := range tt.same {
			if got := canonical(tt.name, v); got != tt.want {
				t.Errorf("canonical(%s, %v) = %q, want %q", tt.name, v, got, tt.want)
			}
		}
	}
}

func TestLabelsAreTheUsersWords(t *testing.T) {
	if got := shown([]string{"--node-labels", "version"}, "1.0"); got != "1.0" {
		t.Errorf("a label's value became %q", got)
	}
}
