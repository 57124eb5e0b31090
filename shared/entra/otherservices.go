package entra

import (
	"net/url"
	"slices"
	"strings"
)

// otherDomains holds the best known domains whose tokens open more than a FHIR server: Graph, Resource Manager,
// Key Vault, Storage, Office, Azure Monitor, of all of Microsoft's clouds.
var otherDomains = []string{
	"microsoft.com", "azure.com", "azure.net", "windows.net", "microsoftonline.com", "office.com", "office365.com", "office.net",
	"outlook.com", "sharepoint.com", "dynamics.com", "powerbi.com", "visualstudio.com", "powerapps.com", "powerplatform.com", "live.com", "skype.com", "yammer.com", "azuredatabricks.net",
	"loganalytics.io", "applicationinsights.io", "azurecr.io", "azconfig.io",
	"azure.us", "microsoft.us", "microsoftonline.us", "office365.us", "dynamics.us", "usgovcloudapi.net",
	"azure.cn", "microsoftonline.cn", "chinacloudapi.cn", "office365.cn", "dynamics.cn",
}

// hosting holds domains below otherDomains whose names belong to Azure's customers.
var hosting = []string{"cloudapp.azure.com", "cloudapp.usgovcloudapi.net", "cloudapp.chinacloudapi.cn"}

// otherApps holds the application ids of some of those services
// (https://learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in).
var otherApps = []string{
	"00000002-0000-0000-c000-000000000000", // Azure AD Graph
	"00000003-0000-0000-c000-000000000000", // Microsoft Graph
	"797f4846-ba00-4fd7-ba43-dac1f8f63013", // Azure Resource Manager
	"cfa8b339-82a2-471a-a3c9-0fc0be7a4093", // Key Vault
	"e406a681-f3d4-42a8-90b6-c2b029497af1", // Storage
	"00000002-0000-0ff1-ce00-000000000000", // Exchange
	"00000003-0000-0ff1-ce00-000000000000", // SharePoint
	"499b84ac-1321-427f-aa17-267ca6975798", // Azure DevOps
	"2ff814a6-3304-4ab8-85cb-cd0e6f879c1d", // Azure Databricks
}

// IsOtherService reports whether an audience is a service of Microsoft's that is no FHIR server. A
// token for it would open more than a FHIR server, so that none may be asked for.
func IsOtherService(audience string) bool {
	text := strings.TrimPrefix(strings.ToLower(audience), "api://")
	if slices.Contains(otherApps, text) {
		return true
	}
	u, err := url.Parse(audience)
	if err != nil {
		return false
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	return within(host, otherDomains) && !within(host, hosting)
}

func within(host string, domains []string) bool {
	return slices.ContainsFunc(domains, func(domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) })
}
