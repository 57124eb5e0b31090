package intake

import (
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
	text = anyHyphens(text)
	text = text[len(expiryLabel.FindString(text)):]
	text = strings.TrimLeft(strings.Trim(text, paste.Quotes+" "), ": ")
	text = strings.Trim(strings.TrimRight(text, ",; "), paste.Quotes+" ")
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
	case d.IsZero():
		r.fail(field, "expiry_past", fix+" Or leave the field out (API: in a client generated from /api/openapi.yaml, leave it null).",
			"The date 0001-01-01 has passed (API: it is the default value of a date in typed languages; the likely cause is a generated client that sends default values for what was left out).")
	case d.DaysFrom(r.today) < 0:
		r.fail(field, "expiry_past", fix+" The year has four digits. If it is right, create a new secret.", "The date %s has passed.", d)
	case d.Time().After(r.today.Time().AddDate(0, 24, 1)):
		r.fail(field, "expiry_too_far", "Compare it with the column Expires beside the secret. If the portal shows a year such as 2299 or Never, leave secretExpiresOn empty, or better: make a new secret that ends within 24 months.", "The date %s is more than 24 months away; new secrets of Entra do not last that long.", d)
	case d.String() != strings.TrimSpace(raw):
		r.Note("read secretExpiresOn as the UTC date %s", d)
	}
	return d
}

var (
	expiryLabel = paste.MustCompile(`(?i)^` + assigned + `(?:expires?|ends?|expir(?:y|ation)(?:[ _]?date)?(?:time)?|secret_?expires_?on|end[ _]?date(?:[ _]?time)?|valid (?:until|to)|not[ _]?after|` +
		`läuft ab|ablaufdatum|gültig bis|date d['’]expiration|expire|fecha de expiración|expira|vence|verloopt|vervaldatum|scadenza|scade)(?:[ _](?:on|at|am|le|el|op|il))?["']?(?:[\s\x{a0}]*[:=][\s\x{a0}]*|\s+)`)

	never = paste.MustCompile(`(?i)^(?:never(?: expires)?|none|null|undefined|no|no expir(?:y|ation)|does not expire|doesn't expire|unlimited|forever|infinite|n/?a|∞|-+|` +
		`nie|läuft nie ab|unbegrenzt|jamais|n['’]expire jamais|nunca|nunca expira|nooit|verloopt nooit|mai)\.?$`)
	span = paste.MustCompile(`(?i)^(?:(?:recommended|empfohlen|recommandé|recomendado|aanbevolen):? *)?(?:(?:in|en|dans|over|tra) +)?(?:[0-9]+ *(?:days?|weeks?|months?|years?|yrs?|hours?|tagen?|tage|wochen?|monaten?|monate|jahren?|jours?|semaines?|mois|ans?|` +
		`d[ií]as?|semanas?|mes|meses|años?|dag|dagen|weken|maand|maanden|jaar|giorni|mesi|anno|anni|[hdwmy])(?:$|[^\p{L}])|p[0-9]+[ymwd]|[0-9]+\.[0-9]{2}:[0-9]{2}:[0-9]{2}|-{0,2}(?:years?|months?|days?)[ =]*[0-9])`)

	yearFirst = paste.MustCompile(`^([0-9]{4}) ?[-/. 年] ?([0-9]{1,2}) ?[-/. 月] ?([0-9]{1,2})日?(.*)$`)
	yearName  = paste.MustCompile(`^([0-9]{4})[-/ ](\p{L}{3,10})[-/ ]([0-9]{1,2})(.*)$`)
	yearLast  = paste.MustCompile(`^([0-9]{1,2})([-/.]) ?([0-9]{1,2})[-/.] ?([0-9]{4})(.*)$`)
	compact   = paste.MustCompile(`^([0-9]{4})([0-9]{2})([0-9]{2})(?:[tT]?([0-9]{2})([0-9]{2})([0-9]{2})[zZ]?)?$`)

	// clock is a time of day behind a date: with a T or a space, seconds and fractions of them, AM
	// or PM, and an offset from UTC.
	clock   = paste.MustCompile(`(?i)^(?:t|,? +|,? *(?:at|um|à|a las|om|alle|alle ore) +)([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:[.,][0-9]{1,9})?)? *([ap]\.? ?m\.?)? *(?:z|utc|gmt|uhr|h)? *([+-][0-9]{2}:?[0-9]{2})? *(?:utc|\[[a-z/]+\])?$`)
	aside   = paste.MustCompile(`\s*\([^()]*\)$`)
	short   = paste.MustCompile(`(?i)^[0-9]{1,2}[-/. ](?:[0-9]{1,2}|\p{L}{3,10})[-/. ][0-9]{2}(?:$|[^0-9])`)
	weekday = paste.MustCompile(`(?i)^(?:(?:mon|tue|tues|wed|thu|thur|thurs|fri|sat|sun|mo|di|mi|do|fr|sa|so|lun|mar|mer|mié|jeu|jue|ven|vie|sam|sáb|sab|dim|dom|gio|ma|wo|vr|za|zo)\.?|` +
		`(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch|sonnabend|(?:lun|mar|mercre|jeu|vendre|same)di|dimanche|lunes|martes|miércoles|jueves|viernes|sábado|domingo|` +
		`(?:maan|dins|woens|donder|vrij|zater|zon)dag|(?:lune|marte|mercole|giove|vener)dì|sabato|domenica),? +`)

	dayMonth = paste.MustCompile(`(?i)^([0-9]{1,2})(?:st|nd|rd|th|er|º|\.)?(?: +(?:of|de) )?[- ,/]*(\p{L}{3,10})\.?(?: +de)?[- ,/]+([0-9]{4})(.*)$`)
	monthDay = paste.MustCompile(`(?i)^(\p{L}{3,10})\.?[- ]+([0-9]{1,2})(?:st|nd|rd|th)?[- ,]+([0-9]{4})(.*)$`)
	clockIn  = paste.MustCompile(`(?i)^(\p{L}{3,10}) +([0-9]{1,2}) +([0-9:]{8}) +([0-9]{4})(?: +(?:gmt|utc))?$`) // C's asctime, openssl
)

// readDate reads a date as the Azure portal, the Azure CLI, Microsoft Graph and people write it.
// Dots stand between day and month in this order wherever they are used. With slashes or hyphens,
// either may come first: when both are possible, other is the reading with the day first.
func readDate(text string) (d, other date.Date, ok bool) {
	text = aside.ReplaceAllString(text, "")
	if d, other, ok = readDay(text); !ok { // a few weekdays begin like months
		d, other, ok = readDay(weekday.ReplaceAllString(text, ""))
	}
	return d, other, ok
}

func readDay(text string) (d, other date.Date, ok bool) {
	if m := yearFirst.FindStringSubmatch(text); m != nil {
		d, ok = onClock(m[1], m[2], m[3], m[4])
		return d, date.Date{}, ok
	}
	if m := compact.FindStringSubmatch(text); m != nil {
		timeOfDay := ""
		if m[4] != "" {
			timeOfDay = "T" + m[4] + ":" + m[5] + ":" + m[6]
		}
		d, ok = onClock(m[1], m[2], m[3], timeOfDay)
		return d, date.Date{}, ok
	}
	if m := yearName.FindStringSubmatch(text); m != nil {
		d, ok = onClock(m[1], monthNamed(m[2]), m[3], m[4])
		return d, date.Date{}, ok
	}
	if m := clockIn.FindStringSubmatch(text); m != nil {
		d, ok = onClock(m[4], monthNamed(m[1]), m[2], " "+m[3])
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

// months are the names of the months in the languages of the portal that people copied dates from.
var months = [12]string{
	"january januar janvier enero januari gennaio", "february februar février fevrier febrero februari febbraio", "march märz maerz mars marzo maart mrt",
	"april avril abril aprile", "may mai mayo mei maggio", "june juni juin junio giugno",
	"july juli juillet julio luglio", "august août aout agosto augustus", "september septembre septiembre settembre",
	"october oktober octobre octubre ottobre", "november novembre noviembre", "december dezember décembre decembre diciembre dicembre",
}

// monthNamed returns the number of the month whose name, or at least its first three letters, is
// given; "" if there is none, or several.
func monthNamed(name string) (number string) {
	name = strings.ToLower(name)
	for i, names := range months {
		for full := range strings.FieldsSeq(names) {
			switch month := strconv.Itoa(i + 1); {
			case full == name:
				return month
			case !strings.HasPrefix(full, name), number == month:
			case number != "":
				return ""
			default:
				number = month
			}
		}
	}
	return number
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
	away, known := offset(c[5])
	if !known {
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
	return date.Of(t.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second - away)), true
}

// farthest is the greatest offset from UTC that is in use.
const farthest = 14 * time.Hour

// offset reads +02:00, -0700 and the like; none is 0. No place on earth is farther from UTC than
// farthest.
func offset(s string) (away time.Duration, known bool) {
	if s == "" {
		return 0, true
	}
	digits := strings.ReplaceAll(s[1:], ":", "")
	hours, _ := strconv.Atoi(digits[:2])
	minutes, _ := strconv.Atoi(digits[2:])
	away = time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	known = minutes < 60 && away <= farthest
	if s[0] == '-' {
		away = -away
	}
	return away, known
}
