package config_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/config"
	"fhirlink/shared/notify/mail"
	"fhirlink/shared/secret"
)

func TestNotifications(t *testing.T) {
	got, err := config.FromEnv(env(nil))
	if err != nil || got.EventGridEndpoint != "" || !reflect.DeepEqual(got.Mail, mail.Server{}) {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = config.FromEnv(env(map[string]string{
		config.EventGridEndpoint: "https://Contoso.westeurope-1.eventgrid.azure.net/api/events/",
		config.SMTPHost:          " SMTP.contoso.com ",
		config.SMTPUsername:      "fhirlink",
		config.SMTPPassword:      "canary word",
		config.MailFrom:          "FHIR links <fhirlink@contoso.com>",
	}))
	want := mail.Server{Host: "smtp.contoso.com", Port: 587, Username: "fhirlink", Password: secret.New("canary word"), From: "FHIR links <fhirlink@contoso.com>"}
	if err != nil || got.EventGridEndpoint != "https://contoso.westeurope-1.eventgrid.azure.net/api/events" || !got.Mail.Password.Equal(want.Password) {
		t.Errorf("%+v, %v", got, err)
	}
	got.Mail.Password, want.Password = secret.Value{}, secret.Value{}
	if !reflect.DeepEqual(got.Mail, want) {
		t.Errorf("%+v", got.Mail)
	}
	got, err = config.Local(env(map[string]string{config.SMTPHost: "::1", config.SMTPPort: "2525", config.MailFrom: "a@b"}))
	if err != nil || got.Mail.Port != 2525 || got.Mail.Username != "" {
		t.Errorf("%+v, %v", got.Mail, err)
	}
}

func TestMistakesInNotifications(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		others      string // name=value, separated by spaces
	}{
		{config.EventGridEndpoint, "canary", ""},
		{config.EventGridEndpoint, "http://canary.example/api/events", ""},
		{config.EventGridEndpoint, "https://canary.example/api/event", ""},
		{config.EventGridEndpoint, "https://topic.example/api/events?aeg-sas-key=canary", ""},
		{config.SMTPHost, "canary:587", "FHIRLINK_MAIL_FROM=a@b"},
		{config.SMTPHost, "smtp://canary", "FHIRLINK_MAIL_FROM=a@b"},
		{config.SMTPPort, "587", ""},
		{config.SMTPPort, "0", "FHIRLINK_SMTP_HOST=smtp.example FHIRLINK_MAIL_FROM=a@b"},
		{config.SMTPPort, "canary", "FHIRLINK_SMTP_HOST=smtp.example FHIRLINK_MAIL_FROM=a@b"},
		{config.SMTPUsername, "canary", ""},
		{config.SMTPUsername, "canary", "FHIRLINK_SMTP_HOST=smtp.example FHIRLINK_MAIL_FROM=a@b"},
		{config.SMTPPassword, "canary", ""},
		{config.SMTPPassword, "@Microsoft.KeyVault(SecretUri=canary)", "FHIRLINK_SMTP_HOST=smtp.example FHIRLINK_MAIL_FROM=a@b FHIRLINK_SMTP_USERNAME=u"},
		{config.MailFrom, "a@b", ""},
		{config.MailFrom, "", "FHIRLINK_SMTP_HOST=smtp.example"},
		{config.MailFrom, "canary", "FHIRLINK_SMTP_HOST=smtp.example"},
		{config.MailFrom, "canary@b\r\nBcc: c@d", "FHIRLINK_SMTP_HOST=smtp.example"},
	} {
		changes := map[string]string{tt.name: tt.value}
		for other := range strings.FieldsSeq(tt.others) {
			name, value, _ := strings.Cut(other, "=")
			changes[name] = value
		}
		_, err := config.FromEnv(env(changes))
		if problems := config.Problems(err); len(problems) != 1 || problems[0].Name != tt.name || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s=%q %s: %v", tt.name, tt.value, tt.others, err)
		}
	}
}

func TestExpiryThresholds(t *testing.T) {
	for text, want := range map[string][]int{"": nil, "30, 7,7,0": {0, 7, 30}, "731": {731}} {
		got, err := config.FromEnv(env(map[string]string{config.ExpiryThresholds: text}))
		if err != nil || !slices.Equal(got.ExpiryThresholds, want) {
			t.Errorf("%q: %v, %v", text, got.ExpiryThresholds, err)
		}
	}
	for _, text := range []string{"-1", "732", "30d", "many", ",", "1.5"} {
		_, err := config.FromEnv(env(map[string]string{config.ExpiryThresholds: text}))
		if err == nil || !strings.Contains(err.Error(), config.ExpiryThresholds) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
