package intake

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/paste"
)

// expiresOn reads the date on which the secret ends. Entra's longest is 24 months
// (https://learn.microsoft.com/entra/identity-platform/how-to-add-credentials).
func (r *Reader) expiresOn(raw string) date.Date {
	const field = "secretExpiresOn"
	const fix = "Copy the date in the column Expires beside the secret, as YYYY-MM-DD."
	text, _ := paste.Trim(raw)
	for unwrapped := true; unwrapped; {
		text, unwrapped = paste.Unwrap(text, paste.Quotes)
	}
	text = anyHyphens(text)
	text = text[len(expiryLabel.FindString(text)):]
	if text == "" {
		return date.Date{}
	}
	d, other, ok := readDate(text)
	switch {
	case !ok && never.MatchString(text):
		r.fail(field, "expiry_never", "Copy the date in the column Expires beside the secret, as YYYY-MM-DD. If there is none, create a new secret with an end, or leave the field out.",
			"Entra's client secrets end after 24 months at the latest, so there is always a date.")
	case !ok && span.MatchString(text):
		r.fail(field, "expiry_is_span", fix, "This is a length of time, not the date on which the secret ends.")
	case !ok && short.MatchString(text):
		r.fail(field, "expiry_syntax", fix, "The year of the date has two digits only, so that day, month and year cannot be told apart.")
	case !ok:
		r.fail(field, "expiry_syntax", fix, "The value is not a date of the form YYYY-MM-DD.")
	case !other.IsZero():
		r.fail(field, "expiry_ambiguous", "Send the one that is meant, as YYYY-MM-DD.",
			"The date can be read in two ways: as %s (month first) or as %s (day first).", d, other)
	case d.DaysFrom(r.today) < 0:
		r.fail(field, "expiry_past", fix+" If it is right, create a new secret.", "The date %s has passed.", d)
	case d.Time().After(r.today.Time().AddDate(0, 24, 1)):
		r.fail(field, "expiry_too_far", fix, "The date %s is more than 24 months away; Entra's secrets do not last that long.", d)
	case d.String() != strings.TrimSpace(raw):
		r.Note("read secretExpiresOn as the UTC date %s", d)
	}
	return d
}

var (
	expiryLabel = regexp.MustCompile(`(?i)^["']?(?:expires?|expir(?:y|ation)(?: date)?|secretexpireson|end ?date(?: ?time)?|valid until)(?: on)?["']?(?:\s*[:=]\s*|\s+)["']?`)

	never = regexp.MustCompile(`(?i)^(?:never(?: expires)?|none|no|no expir(?:y|ation)|does not expire|doesn't expire|unlimited|forever|infinite|n/?a|∞|-+)\.?$`)
	span  = regexp.MustCompile(`(?i)^(?:recommended:? *)?(?:in *)?[0-9]+ *(?:days?|weeks?|months?|years?|[dwmy])\b`)

	yearFirst = regexp.MustCompile(`^([0-9]{4})[-/. ]([0-9]{1,2})[-/. ]([0-9]{1,2})(.*)$`)
	yearLast  = regexp.MustCompile(`^([0-9]{1,2})([-/.])([0-9]{1,2})[-/.]([0-9]{4})(.*)$`)
	compact   = regexp.MustCompile(`^([0-9]{4})([0-9]{2})([0-9]{2})$`)

	// clock is a time of day behind a date: with a T or a space, seconds and fractions of them, AM
	// or PM, and an offset from UTC.
	clock   = regexp.MustCompile(`(?i)^(?:t|,? +|,? *at +)([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]{1,9})?)? *([ap]\.?m\.?)? *(?:z|utc|gmt)? *([+-][0-9]{2}:?[0-9]{2})? *(?:utc|\[[a-z/]+\])?$`)
	aside   = regexp.MustCompile(`\s*\([^()]*\)$`)
	short   = regexp.MustCompile(`(?i)^[0-9]{1,2}[-/. ](?:[0-9]{1,2}|[a-z]{3,9})[-/. ][0-9]{2}\b`)
	weekday = regexp.MustCompile(`(?i)^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? +`)

	dayMonth = regexp.MustCompile(`(?i)^([0-9]{1,2})(?:st|nd|rd|th|\.)?(?: +of)?[- ,]*([a-z]{3,9})\.?[- ,]+([0-9]{4})(.*)$`)
	monthDay = regexp.MustCompile(`(?i)^([a-z]{3,9})\.?[- ]+([0-9]{1,2})(?:st|nd|rd|th)?[- ,]+([0-9]{4})(.*)$`)
)

// readDate reads a date as the Azure portal, the Azure CLI, Microsoft Graph and people write it.
// Dots stand between day and month in this order wherever they are used. With slashes or hyphens,
// either may come first: when both are possible, other is the reading with the day first.
func readDate(text string) (d, other date.Date, ok bool) {
	text = weekday.ReplaceAllString(aside.ReplaceAllString(text, ""), "")
	if m := yearFirst.FindStringSubmatch(text); m != nil {
		d, ok = onClock(m[1], m[2], m[3], m[4])
		return d, date.Date{}, ok
	}
	if m := compact.FindStringSubmatch(text); m != nil {
		d, ok = onClock(m[1], m[2], m[3], "")
		return d, date.Date{}, ok
	}
	if m := yearLast.FindStringSubmatch(text); m != nil {
		return monthOrDay(m[1], m[3], m[4], m[5], m[2] == ".")
	}
	if m := dayMonth.FindStringSubmatch(text); m != nil {
		d, ok = onClock(m[3], monthNamed(m[2]), m[1], m[4])
		return d, date.Date{}, ok
	}
	if m := monthDay.FindStringSubmatch(text); m != nil {
		d, ok = onClock(m[3], monthNamed(m[1]), m[2], m[4])
		return d, date.Date{}, ok
	}
	return date.Date{}, date.Date{}, false
}

func monthOrDay(first, second, year, rest string, dots bool) (d, other date.Date, ok bool) {
	monthFirst, american := onClock(year, first, second, rest)
	dayFirst, european := onClock(year, second, first, rest)
	switch {
	case european && (dots || !american || monthFirst == dayFirst):
		return dayFirst, date.Date{}, true
	case dots || !american:
		return date.Date{}, date.Date{}, false
	case european:
		return monthFirst, dayFirst, true
	}
	return monthFirst, date.Date{}, true
}

var months = []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}

// monthNamed returns the number of the month whose English name, or at least its first three
// letters, is given; "" if there is none.
func monthNamed(name string) string {
	name = strings.ToLower(name)
	if name == "sept" {
		name = "sep"
	}
	for i, month := range months {
		if len(name) == 3 && strings.HasPrefix(month, name) || name == month {
			return strconv.Itoa(i + 1)
		}
	}
	return ""
}

// onClock returns the UTC date of a day and a time of day. Without an offset the time counts as
// UTC.
func onClock(year, month, day, timeOfDay string) (date.Date, bool) {
	y, _ := strconv.Atoi(year) // the patterns allow digits only, and "" for no month
	m, _ := strconv.Atoi(month)
	d, _ := strconv.Atoi(day)
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	if m < 1 || m > 12 || t.Day() != d {
		return date.Date{}, false
	}
	if timeOfDay = strings.TrimRight(timeOfDay, " ."); timeOfDay == "" || strings.EqualFold(timeOfDay, "z") {
		return date.Of(t), true
	}
	c := clock.FindStringSubmatch(timeOfDay)
	if c == nil {
		return date.Date{}, false
	}
	hour, _ := strconv.Atoi(c[1])
	minute, _ := strconv.Atoi(c[2])
	second, _ := strconv.Atoi(c[3])
	switch half := strings.ToLower(c[4]); {
	case hour > 23 || minute > 59 || second > 60 || half != "" && (hour < 1 || hour > 12):
		return date.Date{}, false
	case half != "":
		hour %= 12
		if half[0] == 'p' {
			hour += 12
		}
	}
	return date.Of(t.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second - offset(c[5]))), true
}

// offset reads +02:00, -0700 and the like; words for UTC are 0.
func offset(s string) time.Duration {
	if s == "" || s[0] != '+' && s[0] != '-' {
		return 0
	}
	digits := strings.ReplaceAll(s[1:], ":", "")
	hours, _ := strconv.Atoi(digits[:2])
	minutes, _ := strconv.Atoi(digits[2:])
	away := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if s[0] == '-' {
		return -away
	}
	return away
}
