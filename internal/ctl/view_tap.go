package ctl

import (
	"fmt"
	"strings"

	"github.com/patchbay-im/patchbay/internal/admin/api"
	"github.com/patchbay-im/patchbay/internal/say"
)

// stampTap is a time of day to the millisecond.
const stampTap = "15:04:05.000"

// Tapped draws a stanza that passed, as one line, or several if its text is there. It is not cut to the width: what is
// passed on to a pipe is whole, and a terminal wraps it.
func (s Screen) Tapped(v api.Tapped) string {
	p := s.page(v.Time)
	if v.Lost > 0 {
		p.line(text{"... " + say.Count(v.Lost, "stanza") + " passed here and are not shown: this reader is too slow", warn})
	}
	kind := strings.TrimSpace(v.Kind + " " + v.Type)
	fate := text{v.Action, good}
	if v.Reason != "" {
		fate = text{v.Action + " " + v.Reason, warn}
	}
	pieces := []text{{v.Time.In(p.zone()).Format(stampTap) + "  ", dim}, tell(pad(kind, 14, false) + " "), tell(v.From), {" -> ", dim},
		tell(orDash(v.To)), {"  " + say.Size(uint64(max(0, v.Bytes))) + "  ", dim}, fate}
	if len(v.Targets) > 0 {
		pieces = append(pieces, tell(" "+strings.Join(v.Targets, ", ")))
	}
	if s.Wide {
		pieces = append(pieces, text{fmt.Sprintf("  id=%s via %s", orDash(v.ID), orDash(v.Node)), dim})
	}
	p.line(pieces...)
	if v.XML != "" {
		p.say("    " + v.XML)
	}
	return p.String()
}
