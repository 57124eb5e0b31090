package view

import (
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/link/ending"
)

// End is when a link's secret ends.
type End struct {
	Name  string
	On    date.Date // zero: not known
	State link.SecretState
}

// The timeline shows this many days before and after today, and this many links, the soonest first.
// More links are shown as columns, one for each month.
const (
	daysBack, daysAhead = 40, 730
	mostBars            = 12
)

// Its measures, in the SVG's own units.
const (
	leftEdge, rightEdge = 200.0, 940.0
	firstRow, rowHeight = 44.0, 30.0
)

func across(days int) float64 {
	days = min(max(days, -daysBack), daysAhead)
	return leftEdge + (rightEdge-leftEdge)*float64(days+daysBack)/float64(daysBack+daysAhead)
}

// drawing is an SVG that is being written. Colours come from the style sheet, by class.
type drawing struct{ strings.Builder }

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

func (d *drawing) text(x, y float64, class, anchor, words string) {
	d.add(`<text x="%.0f" y="%.0f" class="%s" text-anchor="%s">%s</text>`, x, y, class, anchor, template.HTMLEscapeString(words))
}

// Timeline draws when secrets end. It is empty without any link.
func Timeline(w Words, ends []End, today date.Date) template.HTML {
	if len(ends) == 0 {
		return ""
	}
	ends = slices.Clone(ends)
	slices.SortStableFunc(ends, func(a, b End) int {
		if a.On.IsZero() != b.On.IsZero() {
			if b.On.IsZero() {
				return -1
			}
			return 1
		}
		return a.On.Time().Compare(b.On.Time())
	})
	shown := ends[:min(len(ends), mostBars)]
	rest := ends[len(shown):]
	bottom := firstRow + rowHeight*float64(len(shown))
	height := bottom + 28
	if len(rest) > 0 {
		height += 90
	}
	d := &drawing{}
	d.add(`<svg class="times" viewBox="0 0 960 %.0f" role="img" aria-labelledby="times-title times-desc">`, height)
	d.add(`<title id="times-title">%s</title>`, template.HTMLEscapeString(w.Text("When client secrets end")))
	d.add(`<desc id="times-desc">%s</desc>`, template.HTMLEscapeString(w.Text("From 40 days ago to two years ahead, the soonest first. The table below says the same.")))
	d.add(`<rect class="past" x="%.1f" y="30" width="%.1f" height="%.1f"/>`, across(-daysBack), across(0)-across(-daysBack), bottom-30)
	d.add(`<rect class="near" x="%.1f" y="30" width="%.1f" height="%.1f"/>`, across(0), across(ending.ExpiringDays)-across(0), bottom-30)
	d.months(w, today, bottom)
	for i, e := range shown {
		d.bar(w, e, today, firstRow+rowHeight*float64(i)+rowHeight/2)
	}
	d.add(`<line class="today" x1="%.1f" x2="%.1f" y1="24" y2="%.1f"/>`, across(0), across(0), bottom)
	d.text(across(0), 18, "", "middle", w.Text("today"))
	if len(rest) > 0 {
		d.columns(w, rest, today, bottom+28)
	}
	d.add(`</svg>`)
	return template.HTML(d.String()) //nolint:gosec // numbers, and texts that are escaped above
}

// months draws a line every three months.
func (d *drawing) months(w Words, today date.Date, bottom float64) {
	first := today.Time()
	month := time.Date(first.Year(), first.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, 1, 0)
	for ; ; month = month.AddDate(0, 1, 0) {
		days := date.Of(month).DaysFrom(today)
		if days > daysAhead {
			return
		}
		if month.Month()%3 == 0 {
			d.add(`<line class="grid" x1="%.1f" x2="%.1f" y1="30" y2="%.1f"/>`, across(days), across(days), bottom)
			d.text(across(days), bottom+18, "lesser", "middle", fmt.Sprintf("%s %d", w.Text(months[month.Month()-1]), month.Year()))
		}
	}
}

// bar draws one link. The shape at its end differs by state.
func (d *drawing) bar(w Words, e End, today date.Date, y float64) {
	name := e.Name
	if len(name) > 24 {
		name = name[:23] + "…"
	}
	d.text(8, y+4, "", "start", name)
	if e.On.IsZero() {
		d.add(`<line class="unknown" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, across(0), across(daysAhead), y, y)
		d.text(across(0)+8, y-4, "lesser", "start", w.Text("no date known"))
		return
	}
	days := e.On.DaysFrom(today)
	x := across(days)
	d.add(`<g class="%s"><line class="bar" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"/>`, e.State, across(0), x, y, y)
	switch e.State {
	case link.SecretExpired:
		d.add(`<path class="bar" d="M%.1f %.1fl10 10m0 -10l-10 10"/></g>`, x-5, y-5)
	case link.SecretExpiring:
		d.add(`<path d="M%.1f %.1fl9 15h-18z"/></g>`, x, y-9)
	default:
		d.add(`<circle cx="%.1f" cy="%.1f" r="7"/></g>`, x, y)
	}
	at, anchor := x+16, "start"
	if days > daysAhead*4/5 {
		at, anchor = x-16, "end"
		y -= 8
	}
	if days < 0 {
		at = across(0) + 12
	}
	d.text(at, y+4, "lesser", anchor, w.date(e.On.Time()))
}

// columns draws how many of the other secrets end in each month, the last one with all that end later.
func (d *drawing) columns(w Words, rest []End, today date.Date, top float64) {
	counts, most, undated := map[int]int{}, 1, 0 // by the days from today to the first of the month
	for _, e := range rest {
		if e.On.IsZero() {
			undated++
			continue
		}
		on := e.On.Time()
		if last := today.AddDays(daysAhead).Time(); on.After(last) {
			on = last
		}
		first := date.Of(time.Date(on.Year(), on.Month(), 1, 0, 0, 0, 0, time.UTC)).DaysFrom(today)
		counts[first]++
		most = max(most, counts[first])
	}
	d.text(8, top+50, "", "start", w.Count(len(rest), "{n} more", "{n} more"))
	if undated > 0 {
		d.text(8, top+68, "lesser", "start", w.Count(undated, "{n} without a date", "{n} without a date"))
	}
	for _, first := range slices.Sorted(maps.Keys(counts)) {
		tall := 50 * float64(counts[first]) / float64(most)
		d.add(`<rect class="ok" x="%.1f" y="%.1f" width="12" height="%.1f"/>`, across(first), top+60-tall, tall)
		d.text(across(first)+6, top+76, "lesser", "middle", fmt.Sprint(counts[first]))
	}
}
