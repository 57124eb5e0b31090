// The calls of README.md, with a client by NSwag.
using System;
using System.Linq;
using System.Net.Http;
using System.Threading.Tasks;
using Fhirlink;

static class Program
{
    const string Slug = "by-nswag";

    static int Main()
    {
        try
        {
            Run(new Client(new HttpClient()) { BaseUrl = Environment.GetEnvironmentVariable("FHIRLINK_URL") ?? "http://127.0.0.1:7071" }).Wait();
        }
        catch (AggregateException e)
        {
            Console.Error.WriteLine(e.InnerException);
            return 1;
        }
        Console.WriteLine("ok");
        return 0;
    }

    static async Task Run(Client api)
    {
        var registered = await api.RegisterAsync(new Registration
        {
            Slug = Slug,
            Description = "Good Health Clinic",
            FhirServerUrl = "https://clinic.fhir.sandbox.test",
            ClientId = Guid.Parse("22222222-2222-4222-8222-222222222222"),
            ClientSecret = "sandbox-secret-value",
            Listed = true,
        });
        Check(registered.Status == LinkFieldsStatus.Active, "registered");

        var report = await api.VerifyAsync(new Verification { Slug = Slug });
        Check(report.Access == ReportAccess.Read_write, "verified");

        var page = await api.ListLinksAsync(null, null, null, Status.Active, null);
        Check(page.Links.Any(link => link.Slug == Slug), "listed");

        var changed = await api.ChangeLinkAsync(registered.Etag, new Patch { Description = "Better Health Clinic" }, Slug);
        Check(changed.Description == "Better Health Clinic" && changed.Listed, "changed");

        var translated = await api.TranslateScopeAsync(new ScopeRequest { Scope = "patient/Observation.rs openid" });
        var queried = await api.TranslateScopeGetAsync("patient/Observation.rs openid", null, null, null, null, null, null, null, null);
        Check(translated.Scope == "patient-Observation.rs openid" && queried.Scope == translated.Scope, "translated");

        try
        {
            await api.VerifyAsync(new Verification { Slug = "no-such-clinic" });
            Check(false, "verified a link that is missing");
        }
        catch (ApiException<Problem> e)
        {
            Check(e.Result.Code == ProblemCode.Link_not_found, e.Message);
        }
    }

    static void Check(bool holds, string what)
    {
        if (!holds)
        {
            throw new Exception("It is not as expected: " + what);
        }
    }
}
