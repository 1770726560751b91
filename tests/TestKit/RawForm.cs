using System.Globalization;
using System.Text;
using System.Text.Json;

namespace DarkStorage.TestKit;

/// <summary>A browser's form with a file, byte for byte as it will stand in the body.</summary>
public sealed class RawForm
{
    /// <summary>Between the parts; not in quotes.</summary>
    public string Boundary { get; set; } = "----TestKitBoundary7MA4YWxk";

    /// <summary>In the order they are sent, all before the file.</summary>
    public List<KeyValuePair<string, string>> Fields { get; } = [];

    /// <summary>Null for a form without.</summary>
    public byte[]? File { get; set; } = Encoding.UTF8.GetBytes("content");

    public string FileName { get; set; } = "file.txt";

    /// <summary>Whole parts after the file, heads and all, without their boundaries.</summary>
    public List<string> After { get; } = [];

    public RawForm With(string field, string value)
    {
        Fields.Add(new(field, value));
        return this;
    }

    public RawForm Without(string field)
    {
        Fields.RemoveAll(f => f.Key == field);
        return this;
    }

    public RawForm WithFile(byte[] file, string name = "file.bin")
    {
        (File, FileName) = (file, name);
        return this;
    }

    /// <summary>Adds a policy that allows the fields there are, in this bucket, and its signature.</summary>
    /// <param name="conditions">More conditions, as JSON.</param>
    public RawForm SignedBy(RawS3 s3, string bucket, params string[] conditions)
    {
        s3.SignForm(this, bucket, DateTimeOffset.UtcNow.AddMinutes(5).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture), Fields.Select(Equal).Concat(conditions));
        return this;
    }

    /// <summary>As <see cref="SignedBy"/>, at another time than now.</summary>
    public RawForm SignedAt(DateTimeOffset time, RawS3 s3, string bucket)
    {
        s3.SignForm(this, bucket, DateTimeOffset.UtcNow.AddMinutes(5).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture), Fields.Select(Equal), time);
        return this;
    }

    /// <summary>Adds a policy that allows what these conditions say, and its signature.</summary>
    public RawForm SignedFor(RawS3 s3, string bucket, params string[] conditions)
    {
        s3.SignForm(this, bucket, DateTimeOffset.UtcNow.AddMinutes(5).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture), conditions);
        return this;
    }

    public byte[] ToBytes()
    {
        using var body = new MemoryStream();
        foreach (var (name, value) in Fields) Write($"--{Boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        if (File is not null)
        {
            Write($"--{Boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{FileName}\"\r\nContent-Type: application/octet-stream\r\n\r\n");
            body.Write(File);
            Write("\r\n");
        }
        foreach (var part in After) Write($"--{Boundary}\r\n{part}\r\n");
        Write($"--{Boundary}--\r\n");
        return body.ToArray();

        void Write(string text) => body.Write(Encoding.UTF8.GetBytes(text));
    }

    /// <summary>The form as a request without another signature than its own.</summary>
    public RawRequest ToRequest(string bucket) =>
        new RawRequest("POST", $"/{bucket}") { Sign = false }.With("Content-Type", $"multipart/form-data; boundary={Boundary}").WithBody(ToBytes());

    internal static string Equal(KeyValuePair<string, string> field) => JsonSerializer.Serialize(new Dictionary<string, string> { [field.Key] = field.Value });
}
