package web

import "github.com/nodeguard/nodeguard/internal/drift"

// words are the page's own, in one language.
type words struct {
	Title, Switch                                           string
	Node, Profile, At, Support                              string
	In, Out, CannotTell, Waiting                            string
	Findings, NoFindings, Observed, Supported, Since, By    string
	Operation, Subject, Impact, Recovery, Document          string
	Command, Copy                                           string
	Pending, Waived                                         string
	Unknown, Reason, Hint, All                              string
	Conditions, Condition, Status                           string
	Sources, Check, Source, Mode, Events, Lost, Failures    string
	SourcesNote, History, NoHistory, When, What, Detail     string
	More, ReportLink, MetricsLink, HealthLink, ProfilesLink string
}

func wordsOf(l drift.Language) (words, drift.Language) {
	if l == drift.Chinese {
		return chinese(), drift.English
	}
	return english(), drift.Chinese
}

func english() words {
	return words{
		Title: "nodeguard", Switch: "中文",
		Node: "Node", Profile: "Profile", At: "As of", Support: "Support",
		In: "In support", Out: "Out of support", CannotTell: "Cannot tell", Waiting: "The first full pass is not over.",
		Findings: "Findings", NoFindings: "Nothing is out of support.", Observed: "Observed", Supported: "Supported", Since: "Since", By: "By",
		Operation: "Operation", Subject: "Subject", Impact: "Impact", Recovery: "Recovery", Command: "Command", Copy: "A click on a command selects it.", Document: "Documented in",
		Pending: "takes effect at the next restart or boot", Waived: "waived",
		Unknown: "What could not be looked at", Reason: "Reason", Hint: "What to do", All: "all of it",
		Conditions: "Node conditions", Condition: "Condition", Status: "Status",
		Sources: "How changes are noticed", Check: "Check", Source: "Source", Mode: "Mode", Events: "Events", Lost: "Overflows", Failures: "Errors",
		SourcesNote: "event: at once. poll: at the next look. off: not by this source.",
		History:     "History", NoHistory: "Nothing has happened yet.", When: "When", What: "What", Detail: "Detail",
		More: "More", ReportLink: "report as JSON", MetricsLink: "metrics", HealthLink: "health", ProfilesLink: "profiles",
	}
}

func chinese() words {
	return words{
		Title: "nodeguard", Switch: "English",
		Node: "节点", Profile: "配置档", At: "截至", Support: "支持状态",
		In: "在支持范围内", Out: "超出支持范围", CannotTell: "无法判断", Waiting: "首次完整检查尚未结束。",
		Findings: "问题", NoFindings: "没有超出支持范围的内容。", Observed: "当前值", Supported: "支持值", Since: "起始时间", By: "操作者",
		Operation: "操作", Subject: "对象", Impact: "影响", Recovery: "恢复", Command: "命令", Copy: "单击命令即可选中。", Document: "出处",
		Pending: "下次重启后生效", Waived: "已豁免",
		Unknown: "无法检查的内容", Reason: "原因", Hint: "处理办法", All: "全部",
		Conditions: "节点状况", Condition: "状况", Status: "状态",
		Sources: "变更的感知方式", Check: "检查", Source: "来源", Mode: "模式", Events: "事件", Lost: "溢出", Failures: "错误",
		SourcesNote: "event：即时。poll：下次检查时。off：该来源不可用。",
		History:     "历史", NoHistory: "尚无记录。", When: "时间", What: "事件", Detail: "详情",
		More: "更多", ReportLink: "JSON 报告", MetricsLink: "指标", HealthLink: "健康检查", ProfilesLink: "性能剖析",
	}
}
