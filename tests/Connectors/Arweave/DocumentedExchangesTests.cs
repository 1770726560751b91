using System.Globalization;
using DarkStorage.Storage.Backends;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.Arweave;

/// <summary>Answers as the public documentation has them, word for word (<c>documented.json</c>): what becomes of a put that gets them. They were never recorded from a live service.</summary>
public sealed class DocumentedExchangesTests : IAsyncLifetime
{
    private const int Size = 1000;

    private static readonly IReadOnlyList<DocumentedExchange> Exchanges = DocumentedExchange.Read("Arweave.documented.json");

    private readonly ArweaveServer _arweave = new();

    public static TheoryData<string> Names => [.. Exchanges.Select(e => e.Name)];

    public ValueTask InitializeAsync() => _arweave.InitializeAsync();

    public ValueTask DisposeAsync() => _arweave.DisposeAsync();

    [Theory, MemberData(nameof(Names))]
    public async Task A_put_that_gets_the_documented_answer_does_what_it_says(string exchange)
    {
        var ct = TestContext.Current.CancellationToken;
        var (_, _, request, answer, passes, outcome) = Exchanges.Single(e => e.Name == exchange);
        var given = new Dictionary<string, string> { ["wallet"] = Wallets.First, ["upload-endpoint"] = $"{_arweave.Url}/v1/tx", ["gateway"] = _arweave.Url };
        await using var backend = ArweaveConnector.Connector.Open(ArweaveConnector.Connector.Type.Complete("turbo", given), new HurriedTime());
        await backend.PrepareAsync(ct);
        var answered = 0;
        _arweave.Answers = async http =>
        {
            if (!request.Matches(http.Request.Method, http.Request.Path)) return false;
            foreach (var (name, value) in request.Headers) Assert.Equal(value, http.Request.Headers[name].ToString());
            answered++;
            var id = "";
            if (passes)
            {
                // What is sent gets there, and the answer is the documented one.
                var passed = new DefaultHttpContext();
                (passed.Request.Method, passed.Request.ContentType, passed.Request.ContentLength, passed.Request.Body) = (request.Method, http.Request.ContentType, http.Request.ContentLength, http.Request.Body);
                await _arweave.TakeAsync(passed);
                id = _arweave.Taken[^1].Id;
            }
            else
            {
                await http.Request.Body.CopyToAsync(Stream.Null, ct);
            }
            (http.Response.StatusCode, http.Response.ContentType) = (answer.Status, answer.Type);
            foreach (var (name, value) in answer.Headers ?? []) http.Response.Headers[name] = value.Replace("{size}", Size.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);
            if (answer.Body.Length > 0) await http.Response.WriteAsync(answer.Body.Replace("{id}", id, StringComparison.Ordinal), ct);
            return true;
        };
        var put = backend.PutAsync(BlobName.Parse("a/blob"), BlobSource.Of(new byte[Size]), ct);
        if (outcome is null) Assert.Equal(Size, (await put).Length);
        else Assert.Equal(Enum.Parse<BackendError>(outcome), (await Assert.ThrowsAsync<BackendException>(() => put)).Error);
        Assert.InRange(answered, 1, 3);
    }
}
