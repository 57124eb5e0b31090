// Gets an access token for a link, and asks the link's FHIR server how many patients it has.
//
//   .NET 10 or newer:  dotnet run token.cs
//   Mono:              mcs -r:System.Net.Http -r:System.Runtime.Serialization token.cs && mono token.exe
//
// token.sh says what the FHIRLINK_ variables mean, and where your application gets its own
// Entra token (FHIRLINK_ACCESS_TOKEN).

using System;
using System.Collections.Generic;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Runtime.Serialization;
using System.Runtime.Serialization.Json;
using System.Threading.Tasks;

// The token endpoint's answer, or its error (RFC 6749, sections 5.1 and 5.2).
[DataContract]
public class TokenAnswer
{
    [DataMember(Name = "access_token")] public string AccessToken;
    [DataMember(Name = "expires_in")] public int ExpiresIn;
    [DataMember(Name = "resource")] public string Resource;
    [DataMember(Name = "error")] public string Error;
    [DataMember(Name = "error_description")] public string Description;

    public string Problem()
    {
        return string.IsNullOrEmpty(Error)
            ? "the answer is no OAuth error; does a proxy answer in place of the API?"
            : Error + ": " + Description;
    }
}

[DataContract]
public class Bundle
{
    [DataMember(Name = "total", IsRequired = true)] public int Total;
}

public class Failure : Exception
{
    public Failure(string message) : base(message) { }
}

public static class Program
{
    // A token must not follow a redirect to another server, so none is followed.
    static readonly HttpClient client = new HttpClient(new HttpClientHandler { AllowAutoRedirect = false })
    {
        Timeout = TimeSpan.FromSeconds(30),
    };

    public static int Main()
    {
        try
        {
            Run().GetAwaiter().GetResult();
            return 0;
        }
        catch (Failure failure)
        {
            Console.Error.WriteLine(failure.Message);
        }
        catch (HttpRequestException error)
        {
            Console.Error.WriteLine("No answer: " + error.GetBaseException().Message);
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine("No answer within 30 seconds.");
        }
        return 1;
    }

    static async Task Run()
    {
        var token = await GetToken(
            Setting("FHIRLINK_URL", "http://127.0.0.1:7071"),
            Setting("FHIRLINK_SLUG", "good-health-clinic"),
            Setting("FHIRLINK_ACCESS_TOKEN", ""));
        Console.WriteLine("Token for {0}, valid for {1} seconds.", token.Resource, token.ExpiresIn);
        Console.WriteLine("Patients: {0}", await CountPatients(Setting("FHIRLINK_FHIR_URL", token.Resource), token.AccessToken));
    }

    static async Task<TokenAnswer> GetToken(string api, string slug, string accessToken)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, api.TrimEnd('/') + "/api/token")
        {
            Content = new FormUrlEncodedContent(new Dictionary<string, string>
            {
                { "grant_type", "client_credentials" },
                { "slug", slug },
            }),
        };
        if (accessToken != "")
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", accessToken);
        }
        using (var response = await client.SendAsync(request))
        {
            var answer = await Read<TokenAnswer>(response) ?? new TokenAnswer();
            if (response.StatusCode == HttpStatusCode.ServiceUnavailable)
            {
                var wait = response.Headers.RetryAfter?.Delta?.TotalSeconds.ToString() ?? "a few";
                throw new Failure($"Try again in {wait} seconds: {answer.Problem()}");
            }
            if (!response.IsSuccessStatusCode)
            {
                throw new Failure($"No token (HTTP {(int)response.StatusCode}): {answer.Problem()}");
            }
            return answer;
        }
    }

    static async Task<int> CountPatients(string fhir, string accessToken)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, fhir.TrimEnd('/') + "/Patient?_summary=count");
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", accessToken);
        request.Headers.Accept.ParseAdd("application/fhir+json");
        using (var response = await client.SendAsync(request))
        {
            if (!response.IsSuccessStatusCode)
            {
                throw new Failure($"{fhir} refuses the token or the request (HTTP {(int)response.StatusCode}).");
            }
            var bundle = await Read<Bundle>(response) ?? throw new Failure("The answer is no Bundle with a total.");
            return bundle.Total;
        }
    }

    // Read returns null when the body is something else.
    static async Task<T> Read<T>(HttpResponseMessage response) where T : class
    {
        try
        {
            using (var body = await response.Content.ReadAsStreamAsync())
            {
                return (T)new DataContractJsonSerializer(typeof(T)).ReadObject(body);
            }
        }
        catch (SerializationException)
        {
            return null;
        }
    }

    static string Setting(string name, string otherwise)
    {
        var value = Environment.GetEnvironmentVariable(name);
        return string.IsNullOrEmpty(value) ? otherwise : value;
    }
}
