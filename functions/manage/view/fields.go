package view

// The fields of the form, in seed 1's order and words. Their names are the keys of the API.
var (
	SlugField = Field{
		Name: "slug", Label: "Customized URL", Autocomplete: "off",
		Hint: "The name of your link, which others see when they want to send you data: 3 to 63 of a-z, 0-9 and hyphens, such as good-health-clinic.",
	}
	DescriptionField = Field{Name: "description", Label: "Description", Autocomplete: "organization", Hint: "For example the name of your organization."}
	URLField         = Field{
		Name: "fhirServerUrl", Label: "FHIR Server URL", Autocomplete: "off", Asks: "/api/manage/discover",
		Hint: "Azure portal > your FHIR service > Overview > FHIR metadata endpoint. Paste it as it is.",
	}
	ClientIDField = Field{
		Name: "clientId", Label: "Client ID", Autocomplete: "off",
		Hint: "Microsoft Entra admin center > App registrations > your app > Overview > Application (client) ID.",
	}
	SecretField = Field{
		Name: "clientSecret", Label: "Client Secret", Type: "password", Autocomplete: "new-password", Secret: true,
		Hint: "The same app > Certificates & secrets > the column Value, which is shown only once. Not the column Secret ID.",
	}
	CertificateField = Field{
		Name: "clientCertificate", Label: "Certificate and key", Lines: 8, Secret: true,
		Hint: "The certificate and its private RSA key, both as PEM.",
	}
	EndsField = Field{
		Name: "secretExpiresOn", Label: "Secret ends on", Type: "date", Short: true, Optional: "optional, recommended",
		Hint: "The column Expires beside the secret. Without it nobody can be warned in time.",
	}
	ContactsField = Field{
		Name: "contacts", Label: "E-mail contacts", Lines: 3, Optional: "optional",
		Hint: "Who is told before the secret ends. One address a line.",
	}
	TenantField = Field{
		Name: "tenantId", Label: "Tenant ID", Autocomplete: "off", Optional: "optional",
		Hint: "Microsoft Entra admin center > Overview > Tenant ID. It is found from the server if you leave it out.",
	}
	AudienceField = Field{
		Name: "audience", Label: "Audience", Autocomplete: "off", Optional: "optional",
		Hint: "Azure portal > your FHIR service > Authentication > Audience. It is found from the server if you leave it out.",
	}
)
