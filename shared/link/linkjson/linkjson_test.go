package linkjson_test

import (
	"encoding/json"
	"testing"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/ending"
	"fhirlink/shared/link/linkjson"
)

func TestSecret(t *testing.T) {
	now := time.Date(2026, 11, 23, 23, 59, 59, 0, time.UTC)
	on := func(text string) date.Date {
		d, err := date.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	tests := []struct {
		name   string
		secret link.Secret
		want   string
		status condition.Status
	}{
		{"long to go", link.Secret{ExpiresOn: on("2027-05-01")}, `{"expiresOn":"2027-05-01","daysLeft":159,"state":"ok","source":"typed"}`, condition.Active},
		{"60 days", link.Secret{ExpiresOn: on("2027-01-22")}, `{"expiresOn":"2027-01-22","daysLeft":60,"state":"expiring","source":"typed"}`, condition.Active},
		{"today", link.Secret{ExpiresOn: on("2026-11-23")}, `{"expiresOn":"2026-11-23","daysLeft":0,"state":"expiring","source":"typed"}`, condition.Active},
		{"yesterday", link.Secret{ExpiresOn: on("2026-11-22")}, `{"expiresOn":"2026-11-22","daysLeft":-1,"state":"expired","source":"typed"}`, condition.Expired},
		{"unknown", link.Secret{}, `{"expiresOn":null,"daysLeft":null,"state":"unknown"}`, condition.Active},
		{"Entra said so", link.Secret{Expired: true}, `{"expiresOn":null,"daysLeft":null,"state":"expired","source":"observed"}`, condition.Expired},
		{"Entra said so before the date", link.Secret{Expired: true, ExpiresOn: on("2027-05-01")}, `{"expiresOn":"2027-05-01","daysLeft":null,"state":"expired","source":"observed"}`, condition.Expired},
		{"Entra said so on the last day", link.Secret{Expired: true, ExpiresOn: on("2026-11-23")}, `{"expiresOn":"2026-11-23","daysLeft":null,"state":"expired","source":"observed"}`, condition.Expired},
		{"Entra said so after the date", link.Secret{Expired: true, ExpiresOn: on("2026-11-20")}, `{"expiresOn":"2026-11-20","daysLeft":-3,"state":"expired","source":"observed"}`, condition.Expired},
		{"Graph said so", link.Secret{ExpiresOn: on("2027-05-01"), Source: ending.ByGraph}, `{"expiresOn":"2027-05-01","daysLeft":159,"state":"ok","source":"graph"}`, condition.Active},
		{
			"the previous one stands in",
			link.Secret{Expired: true, FellBackAt: now.Add(-time.Hour), PreviousUntil: now.Add(time.Hour)},
			`{"expiresOn":null,"daysLeft":null,"state":"expired","source":"observed","fallback":{"since":"2026-11-23T22:59:59.000Z","until":"2026-11-24T00:59:59.000Z"}}`, condition.Expired,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.secret.Name, tt.secret.Version = "canary", "canary"
			l := linkjson.Of(link.Link{Secret: tt.secret, Condition: condition.Condition{Health: condition.Active}}, now)
			if got, err := json.Marshal(l.Secret); err != nil || string(got) != tt.want {
				t.Errorf("%s, %v; want %s", got, err, tt.want)
			}
			if l.Status != tt.status {
				t.Errorf("status %s, want %s", l.Status, tt.status)
			}
		})
	}
}
