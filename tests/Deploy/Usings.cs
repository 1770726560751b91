global using System.Net;
global using Amazon.S3;
global using Amazon.S3.Model;
global using DarkStorage.TestKit;
global using Xunit;

[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]
[assembly: AssemblyFixture(typeof(DarkStorage.Deploy.RunningCluster))]
