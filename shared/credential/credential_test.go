package credential_test

import (
	"fmt"
	"strings"
	"testing"

	"fhirlink/shared/credential"
	"fhirlink/shared/secret"
)

const pem = "-----BEGIN CERTIFICATE-----\ncanary"

func TestRead(t *testing.T) {
	password, certificate := secret.New("canary~password"), secret.New(pem)
	for _, tt := range []struct {
		kind credential.Kind
		text secret.Value
		want credential.Credential
	}{
		{credential.KindClientSecret, password, credential.ClientSecret{Value: password}},
		{credential.KindCertificate, certificate, credential.Certificate{PEM: certificate}},
		{"", password, credential.ClientSecret{Value: password}}, // a row from before kinds
		{"", certificate, credential.Certificate{PEM: certificate}},
		{credential.KindClientSecret, certificate, credential.ClientSecret{Value: certificate}}, // the row's kind decides
		{credential.KindCertificate, password, credential.Certificate{PEM: password}},
	} {
		got, err := credential.Read(tt.kind, tt.text)
		if err != nil || got != tt.want || !got.Text().Equal(tt.text) || tt.kind != "" && got.Kind() != tt.kind {
			t.Errorf("Read(%q) = %T, %v; want %T", tt.kind, got, err, tt.want)
		}
	}
	if got, err := credential.Read("federated", password); err == nil || got != nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a kind of a later version: %v, %v", got, err)
	}
}

func TestNeverPrints(t *testing.T) {
	for _, c := range []credential.Credential{credential.ClientSecret{Value: secret.New("canary")}, credential.Certificate{PEM: secret.New(pem)}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
			if text := fmt.Sprintf(verb, c); strings.Contains(text, "canary") || strings.Contains(text, fmt.Sprintf("%x", "canary")) {
				t.Errorf("%s of a %T is %s", verb, c, text)
			}
		}
	}
}
